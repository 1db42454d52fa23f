"""Downloads: what is delivered, what is not, and which addresses are never requested."""

import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dataset_card.sources import http
from dataset_card.sources.allowed_hosts import AllowedHosts, ForbiddenAddressError
from dataset_card.sources.http import HttpClient, NotDeliveredError, StoppedError, no_ai_rule, user_agent
from dataset_card.sources.photo_folder import download_photo
from dataset_card.sources.search_hit import SearchHit
from pictures import RefusedError
from tests.conftest import ROOT
from tests.openweb.commons import Commons, File
from tests.openweb.pictures import picture
from tests.openweb.server import Answer, Fault, OpenWeb

NAME = "nritya/0.1 (tests@example.org) httpx2/2"
JPEG = Answer(picture(1), kind="image/jpeg")


@contextmanager
def _client(*hosts: str, any_public: bool = False, pause: float = 0.01) -> Iterator[HttpClient]:
    allowed = AllowedHosts(frozenset(host.removeprefix("http://") for host in hosts), any_public)
    with closing(HttpClient(NAME, allowed, pause)) as client:
        yield client


@pytest.fixture
def get(openweb: OpenWeb, tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Fetches a path of the test server, or an address, as a file of Wikimedia Commons."""
    openweb.routes["/"] = lambda path, query, url: JPEG
    with _client(openweb.url) as client:

        def download(path: str, **fields: object) -> Path:
            url = path if "://" in path else f"{openweb.url}{path}"
            return download_photo(client, SearchHit("commons", "7", "x", "https://x", url, **fields), tmp_path).path

        yield download


def test_the_extension_is_that_of_the_content(openweb: OpenWeb, get: Callable[[str], Path], tmp_path: Path) -> None:
    assert get("/a.png").name == "commons-7.jpg"
    assert [path.name for path in tmp_path.iterdir()] == ["commons-7.jpg"]
    # Already downloaded: no second request.
    get("/a.png")
    assert len(openweb.requests) == 1
    (tmp_path / "commons-7.jpg").unlink()
    openweb.faults = [Fault("a.jpg", Answer(picture(1, kind="PNG"), kind="image/jpeg"))]
    assert get("/a.jpg").name == "commons-7.png"
    assert openweb.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("answer", "fields", "reason"),
    [
        (Answer(b"gone", 404, "text/html"), {}, "answered with status 404"),
        (Answer(b"gone", 410, "text/html"), {}, "answered with status 410"),
        (Answer(b"not here", kind="image/jpeg"), {}, "not an image"),
        (Answer(picture(1)[:2000], kind="image/jpeg"), {}, "damaged or truncated"),
        (Answer(picture(1, kind="GIF"), kind="image/jpeg"), {}, "no JPEG, PNG or WebP file"),
        (Answer(picture(1, 150, 300), kind="image/jpeg"), {}, "too small"),
        (JPEG, {"sha1": "0" * 40, "is_original": True}, "another file than stated"),
        (JPEG, {"width": 960, "height": 720, "is_exact": True}, "another picture than stated"),
        (JPEG, {"width": 960, "height": 960}, "another picture than stated"),
    ],
)
def test_content_that_is_refused(
    openweb: OpenWeb, get: Callable[..., Path], tmp_path: Path, answer: Answer, fields: dict[str, object], reason: str
) -> None:
    openweb.faults = [Fault("a.jpg", answer)]
    with pytest.raises(RefusedError, match=reason):
        get("/a.jpg", **fields)
    # One request: another would give the same. No file is left.
    assert len(openweb.requests) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream"])
def test_a_picture_is_one_whatever_type_its_server_states(
    openweb: OpenWeb, get: Callable[..., Path], kind: str
) -> None:
    openweb.faults = [Fault("a.jpg", Answer(picture(1), kind=kind))]
    assert get("/a.jpg").name == "commons-7.jpg"


@pytest.mark.parametrize(("width", "height"), [(640, 480), (480, 640), (321, 240), (0, 0)])
def test_proportions_suffice_where_the_size_is_not_promised(get: Callable[..., Path], width: int, height: int) -> None:
    assert get("/a.jpg", width=width, height=height).exists()


def test_a_thumbnail_width_that_wikimedia_does_not_make(openweb: OpenWeb, tmp_path: Path) -> None:
    Commons([File("a.jpg", 1, size=(2000, 1000))]).put_on(openweb)
    with _client(openweb.url) as client:
        client.download(f"{openweb.url}/media/thumb/a.jpg/960px-a.jpg", tmp_path / "a")
        with pytest.raises(NotDeliveredError, match=r"status 429 .Use thumbnail steps listed"):
            client.download(f"{openweb.url}/media/thumb/a.jpg/961px-a.jpg", tmp_path / "a")
    assert len(openweb.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        *(Answer(b"", status) for status in (408, 425, 429, 500, 502, 503, 504, 520, 599)),
        Answer(b"", 403, headers={"Retry-After": "0"}),
        Answer(picture(1), kind="image/jpeg", cut=500),
        Answer(b"", kind="image/jpeg"),
        Answer(b"", kind="image/jpeg", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_busy_servers_are_asked_again(openweb: OpenWeb, get: Callable[..., Path], answer: Answer) -> None:
    openweb.faults = [Fault("a.jpg", answer, times=2)]
    assert get("/a.jpg").read_bytes() == picture(1)
    assert len(openweb.requests) == 3


def test_the_second_wait_is_twice_as_long(openweb: OpenWeb, tmp_path: Path) -> None:
    openweb.routes["/"] = lambda path, query, url: JPEG
    openweb.faults = [Fault("a.jpg", Answer(b"", 503), times=2)]
    with _client(openweb.url, pause=0.05) as client:
        client.download(f"{openweb.url}/a.jpg", tmp_path / "a")
    first, second, third = openweb.requests
    # 0.25 and 0.5 s, each with up to 20 % more.
    assert third.start - second.end > 1.2 * (second.start - first.end)


def test_five_attempts_and_no_more(openweb: OpenWeb, get: Callable[..., Path]) -> None:
    openweb.faults = [Fault("a.jpg", Answer(picture(1), kind="image/jpeg", cut=500), times=9)]
    with pytest.raises(NotDeliveredError, match=r"127\.0\.0\.1 peer closed"):
        get("/a.jpg")
    assert len(openweb.requests) == 5


def test_retry_after_holds_every_request_to_the_host(
    openweb: OpenWeb, get: Callable[..., Path], tmp_path: Path
) -> None:
    openweb.faults = [Fault("a.jpg", Answer(b"", 429, headers={"Retry-After": "1"}))]
    other = threading.Timer(0.3, lambda: None)
    with _client(openweb.url) as client:
        first = threading.Thread(target=client.download, args=(f"{openweb.url}/a.jpg", tmp_path / "a"))
        first.start()
        other.start()
        other.join()
        client.download(f"{openweb.url}/b.jpg", tmp_path / "b")
        first.join()
    start = openweb.requests[0].start
    assert all(request.start - start >= 1 for request in openweb.requests[1:])
    assert len(openweb.requests) == 3


def test_too_many_bytes(openweb: OpenWeb, get: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_IMAGE_BYTES", len(picture(1)) - 1)
    with pytest.raises(RefusedError, match="too many bytes"):
        get("/a.jpg")


def test_close_ends_every_wait(openweb: OpenWeb, tmp_path: Path) -> None:
    openweb.faults = [Fault("a.jpg", Answer(b"", 429, headers={"Retry-After": "60"}))]
    with _client(openweb.url) as client:
        threading.Timer(0.5, client.close).start()
        start = time.monotonic()
        with pytest.raises(StoppedError):
            client.download(f"{openweb.url}/a.jpg", tmp_path / "a")
    assert time.monotonic() - start < 5


def _to(target: str) -> Answer:
    return Answer(b"", 302, headers={"Location": target})


def test_redirects_are_followed(openweb: OpenWeb, get: Callable[..., Path]) -> None:
    openweb.faults = [Fault("a.jpg", _to("/b.jpg")), Fault("b.jpg", _to(f"{openweb.url}/c.jpg"))]
    assert get("/a.jpg").read_bytes() == picture(1)
    assert [request.path for request in openweb.requests] == ["/a.jpg", "/b.jpg", "/c.jpg"]


def test_too_many_redirects(openweb: OpenWeb, get: Callable[..., Path]) -> None:
    openweb.faults = [Fault("a.jpg", _to("/a.jpg"), times=99)]
    with pytest.raises(NotDeliveredError, match="too many redirects"):
        get("/a.jpg")
    assert len(openweb.requests) == 6


FORBIDDEN = [
    "http://127.0.0.1:9/a.jpg",
    "http://localhost/a.jpg",
    "http://10.0.0.1/a.jpg",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/a.jpg",
    "http://[::1]/a.jpg",
    "http://[::ffff:127.0.0.1]/a.jpg",
    "http://[fe80::1]/a.jpg",
    "http://2130706433/a.jpg",
    "http://0x7f.1/a.jpg",
    "http://0.0.0.0/a.jpg",
    "http://224.0.0.1/a.jpg",
    "http://me@93.184.215.14/a.jpg",
    "ftp://example.org/a.jpg",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("url", FORBIDDEN)
@pytest.mark.parametrize("redirected", [False, True])
def test_private_addresses_are_never_requested(openweb: OpenWeb, tmp_path: Path, url: str, redirected: bool) -> None:
    openweb.faults = [Fault("a.jpg", _to(url))]
    # The login page of a network may be there: a redirect tells nothing about the picture.
    error = NotDeliveredError if redirected else ForbiddenAddressError
    with _client(openweb.url, any_public=True) as client, pytest.raises(error, match="address not allowed"):
        client.download(f"{openweb.url}/a.jpg" if redirected else url, tmp_path / "a")
    assert len(openweb.requests) == redirected


@pytest.mark.parametrize("url", ["https://example.org/a.jpg", "https://upload.wikimedia.org.example.org/a.jpg"])
def test_hosts_that_are_not_allowed(openweb: OpenWeb, get: Callable[..., Path], url: str) -> None:
    with pytest.raises(ForbiddenAddressError, match="address not allowed"):
        get(url)
    openweb.faults = [Fault("a.jpg", _to(url))]
    with pytest.raises(NotDeliveredError, match="address not allowed"):
        get("/a.jpg")


def test_dns_rebinding(openweb: OpenWeb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look-up says a public address, the connection goes to this machine (DNS rebinding)."""
    port = int(openweb.url.rpartition(":")[2])
    true = socket.getaddrinfo
    answers = iter(["93.184.215.14"])

    def look_up(host: str, *args: object, **options: object) -> object:
        if host != "rebound.example":
            return true(host, *args, **options)  # type: ignore[arg-type]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers, "127.0.0.1"), port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    openweb.routes["/"] = lambda path, query, url: JPEG
    with (
        _client(any_public=True) as client,
        pytest.raises(ForbiddenAddressError, match=r"rebound\.example is 127\.0\.0\.1"),
    ):
        client.download(f"http://rebound.example:{port}/a.jpg", tmp_path / "a")
    assert len(openweb.requests) == 1
    assert not (tmp_path / "a").exists()


def test_a_proxy_resolves_names_except_those_in_no_proxy(
    openweb: OpenWeb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", openweb.url)
    monkeypatch.setenv("no_proxy", "inside.example")
    openweb.routes["http://anywhere.example/"] = lambda path, query, url: JPEG
    with _client(any_public=True) as client:
        client.download("http://anywhere.example/a.jpg", tmp_path / "a")
        for host in ("127.0.0.2", "localhost", "a.localhost", "0x7f.1", "10.1.1.1"):
            with pytest.raises(ForbiddenAddressError, match="address not allowed"):
                client.download(f"http://{host}/a.jpg", tmp_path / "a")
        with pytest.raises(NotDeliveredError, match="host name not found"):
            client.download("http://inside.example/a.jpg", tmp_path / "a")
    assert [request.headers["Host"] for request in openweb.requests] == ["anywhere.example"]


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("http://a:b/a.jpg", ForbiddenAddressError, "address not allowed"),
        ("no address", ForbiddenAddressError, "address not allowed"),
        # A network without a DNS server looks the same as a name that does not exist.
        ("http://no-such-host.invalid/a.jpg", NotDeliveredError, "no-such-host.invalid host name not found"),
    ],
)
def test_addresses_that_lead_nowhere(tmp_path: Path, url: str, error: type[Exception], message: str) -> None:
    with _client(any_public=True) as client, pytest.raises(error, match=message):
        client.download(url, tmp_path / "a")


@pytest.mark.parametrize(
    "answer",
    [
        *(Answer(b"no", status, "text/html") for status in (204, 206, 400, 401, 403, 405, 418, 451)),
        Answer(b"<html>Sign in</html>", kind="text/html; charset=utf-8"),
        Answer(b'{"error": "come back"}'),
        # Cut short, but without its length nobody can tell.
        Answer(picture(1)[:2000], kind="image/jpeg", with_length=False),
    ],
)
def test_answers_that_say_nothing_about_the_picture(
    openweb: OpenWeb, get: Callable[[str], Path], tmp_path: Path, answer: Answer
) -> None:
    openweb.faults = [Fault("a.jpg", _to("/login")), Fault("/login", answer)]
    with pytest.raises(NotDeliveredError, match=r"127\.0\.0\.1"):
        get("/a.jpg")
    assert len(openweb.requests) == 2
    assert list(tmp_path.iterdir()) == []


def test_an_original_that_is_cut_short(openweb: OpenWeb, get: Callable[..., Path]) -> None:
    openweb.faults = [Fault("a.jpg", Answer(picture(1)[:2000], kind="image/jpeg", with_length=False))]
    sha1 = hashlib.sha1(picture(1)).hexdigest()
    with pytest.raises(
        NotDeliveredError, match=r"states no length, the file may be cut short .another file than stated"
    ):
        get("/a.jpg", sha1=sha1, is_original=True)
    assert get("/a.jpg", sha1=sha1, is_original=True).read_bytes() == picture(1)


def test_a_long_wait_ends_one_download_and_not_the_command(openweb: OpenWeb, get: Callable[..., Path]) -> None:
    openweb.faults = [Fault("a.jpg", Answer(b"", 429, headers={"Retry-After": "7200"}))]
    with pytest.raises(NotDeliveredError, match="asks to wait for 120 minutes") as error:
        get("/a.jpg")
    assert error.value.leave_host
    assert len(openweb.requests) == 1


@pytest.mark.parametrize(
    ("headers", "rule"),
    [
        (["noai"], "noai"),
        (["noimageai"], "noimageai"),
        (["noindex, NoAI"], "noai"),
        (["noindex,nofollow , noimageai"], "noimageai"),
        (["noindex", "noai, noimageai"], "noai"),
        (["nritya: noai"], "noai"),
        (["*: noimageai"], "noimageai"),
        (["Nritya : noindex, noai"], "noai"),
        (["otherbot: noindex, nritya: noai"], "noai"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], "noai"),
        (["max-snippet: 20, noai"], "noai"),
        (["otherbot: noai, noimageai"], None),
        (["otherbot: noai", "noindex"], None),
        (["noindex, noarchive, noimageindex"], None),
        (["noaim"], None),
        ([""], None),
        ([], None),
    ],
)
def test_rules_about_ai(headers: list[str], rule: str | None) -> None:
    assert no_ai_rule(headers) == rule


def test_the_version_is_that_of_the_project() -> None:
    version = re.search(r'^version = "([\d.]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert user_agent("me@example.org").startswith(f"nritya/{version[1]} (me@example.org) httpx2/")
