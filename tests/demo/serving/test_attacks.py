"""A hostile visitor, over HTTP, against the page as it is served."""

import asyncio
import io
import json
import os
import secrets
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from PIL import Image

from demo.reading.upload import MAX_BYTES
from demo.serving import bodies, door
from demo.serving.calls import NO_ADDRESSES
from demo.telling.many import MOST
from demo.words import ENGLISH, LANGUAGES
from tests.demo.conftest import Server, data_url, file_at, started, told


def _png(image: Image.Image | None = None) -> bytes:
    target = io.BytesIO()
    (image or Image.new("RGB", (64, 64), (120, 40, 90))).save(target, "PNG")
    return target.getvalue()


def _calls(server: Server, file: dict[str, Any]) -> Iterator[httpx.Response]:
    """Sends a file in every way that a call takes."""
    api = f"{server.address}/gradio_api"
    index = _function(server)
    yield httpx.post(f"{api}/call/predict", json={"data": [file]})
    yield httpx.post(f"{api}/call/v2/predict", json={_parameter(server): file})
    yield httpx.post(f"{api}/run/predict", json={"data": [file]})
    yield httpx.post(f"{api}/queue/join", json={"data": [file], "fn_index": index, "session_hash": "visitor"})
    yield httpx.post(
        f"{api}/queue/join", json={"data": [file], "fn_index": index, "session_hash": "v", "batched": None}
    )


def _function(server: Server) -> int:
    functions = httpx.get(f"{server.address}/config").json()["dependencies"]
    return next(function["id"] for function in functions if function["api_name"] == "predict")


def _parameter(server: Server) -> str:
    info = httpx.get(f"{server.address}/gradio_api/info").json()
    return info["named_endpoints"]["/predict"]["parameters"][0]["parameter_name"]


def _tool(server: Server, **arguments: object) -> dict[str, Any]:
    asked = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "predict", "arguments": arguments}}
    answer = httpx.post(
        f"{server.address}/gradio_api/mcp/",
        json=asked,
        headers={"Accept": "application/json, text/event-stream"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    text = answer.text.partition("data: ")[2] if answer.text.startswith("event") else answer.text
    return json.loads(text)


@pytest.fixture(autouse=True)
def nothing_gives_way(server: Server) -> Iterator[None]:
    """After every attack: the log holds no traceback, and the page answers others."""
    before = server.log.stat().st_size
    yield
    said = server.log.read_text()[before:]
    assert "Traceback" not in said
    assert len(said) < 2000, said
    assert server.predict(server.upload(_png()))[0] == "complete"


class TestFilesOfTheServer:
    @pytest.fixture
    def secret(self, server: Server, model_folder: Path, kind: str) -> str:
        (picture,) = (model_folder / "examples").glob("kathak.jpg")
        uploaded = Path(server.upload(_png()))
        link = uploaded.parent / "link.jpg"
        link.unlink(missing_ok=True)
        link.symlink_to(picture)
        return {
            "picture": str(picture),
            "config": str(model_folder / "config.json"),
            "passwd": "/etc/passwd",
            "dots": f"{uploaded.parent}/../../..{'/..' * 9}{picture}",
            "link": str(link),
            "folder": str(uploaded.parent),
            "relative": os.path.relpath(picture),
            "file URL": f"file://{picture}",
            "zero": f"{uploaded}\0.jpg",
            "long": "/" + "x" * 10_000,
            "half a character": f"{uploaded}\ud800",
            "other": f"{uploaded.parent.parent}/{'0' * 64}/dancer.jpg",
        }[kind]

    kinds = pytest.mark.parametrize(
        "kind",
        ["picture", "config", "passwd", "dots", "link", "folder", "relative", "file URL", "zero", "long", "other"],
    )

    @kinds
    def test_no_call_reads_them(self, server: Server, model_folder: Path, secret: str) -> None:
        for file in (file_at(secret), {"path": secret}, {"path": secret, "meta": {"_type": "x"}, "url": secret}):
            for answer in _calls(server, file):
                assert answer.status_code in (404, 422), answer.text
                assert told(answer) in (LANGUAGES[ENGLISH]("gone"), NO_ADDRESSES, "There is nothing here.")

    @kinds
    def test_none_is_given_away(self, server: Server, secret: str) -> None:
        for path in (secret, quote(secret, safe=""), quote(quote(secret, safe=""), safe="")):
            for route in ("gradio_api/file=", "file=", "gradio_api/file/", "static/", "assets/", "svelte/"):
                answer = _raw(server, f"GET /{route}{quote(path, safe='/%')} HTTP/1.1\r\nHost: x\r\n\r\n")
                assert answer.split()[1] in (b"400", b"403", b"404", b"414"), answer[:200]
                assert b"root:" not in answer
                assert b"label_names" not in answer

    @pytest.mark.parametrize("kind", ["half a character"])
    def test_half_a_character(self, server: Server, secret: str) -> None:
        body = json.dumps({"data": [file_at(secret)]})
        answer = httpx.post(f"{server.address}/gradio_api/call/predict", content=body)
        assert answer.status_code == 400

    def test_what_a_visitor_uploaded_comes_back_and_nothing_beside_it(self, server: Server) -> None:
        path = server.upload(_png())
        answer = httpx.get(f"{server.address}/gradio_api/file={path}")
        assert answer.content == _png()
        assert httpx.get(f"{server.address}/gradio_api/file={Path(path).parent}").status_code == 404

    @pytest.mark.parametrize(
        "value", ["bytes=0-10", "bytes=5-2", "bytes=0-1-2", "bytes=99999999-", "bytes=-5", "x", "bytes=0-1,3-4"]
    )
    def test_a_range_brings_neither_an_error_nor_ones_own_headers(self, server: Server, value: str) -> None:
        path = server.upload(_png())
        headers = {"Range": value, "Cookie": "session=secret", "X-Mine": "1"}
        answer = httpx.get(f"{server.address}/gradio_api/file={path}", headers=headers)
        assert answer.status_code in (200, 206, 416)
        assert not {"cookie", "x-mine"} & set(answer.headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gradio_api/proxy=https://example.org/"),
        ("GET", "/monitoring"),
        ("GET", "/monitoring/summary"),
        ("GET", "/gradio_api/deep_link?session_hash=visitor"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/component_server"),
        ("GET", "/gradio_api/runs"),
        ("POST", "/gradio_api/run-history/connect"),
        ("POST", "/gradio_api/vibe-edit"),
        ("GET", "/gradio_api/dev/reload"),
        ("GET", "/pwa_icon/100000"),
        ("POST", "/login"),
        ("GET", "/gradio_api/custom_component/x/client/component/index.js"),
        ("GET", "/docs"),
        ("DELETE", "/"),
        ("PUT", "/x"),
        ("GET", "/gradio_api/stream/a/b/1/playlist-file"),
        ("POST", "/gradio_api/stream/abc"),
        ("GET", "/gradio_api/mcp/sse"),
    ],
)
def test_what_the_page_does_not_need_is_not_there(server: Server, method: str, path: str) -> None:
    answer = httpx.request(method, server.address + path)
    assert answer.status_code in (404, 405)
    assert answer.json() == {"detail": "There is nothing here."}


class TestAddresses:
    """A server on loopback counts who comes."""

    @pytest.fixture
    def inside(self) -> Iterator[tuple[int, list[str]]]:
        came: list[str] = []

        class Inside(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                came.append(self.path)
                self.send_response(302 if self.path == "/redirect" else 200)
                self.send_header("Location", "/secret.png")
                self.end_headers()
                self.wfile.write(_png())

            do_HEAD = do_GET  # noqa: N815 - the base class's name

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Inside) as inside:
            thread = threading.Thread(target=inside.serve_forever, daemon=True)
            thread.start()
            yield inside.server_port, came
            inside.shutdown()

    @pytest.mark.parametrize(
        "address",
        [
            "http://127.0.0.1:{port}/secret.png",
            "http://localhost:{port}/secret.png",
            "http://[::1]:{port}/secret.png",
            "http://[::ffff:127.0.0.1]:{port}/secret.png",
            "http://2130706433:{port}/secret.png",
            "http://0x7f.1:{port}/secret.png",
            "http://0177.0.0.1:{port}/secret.png",
            "http://127.1:{port}/secret.png",
            "HTTP://127.0.0.1:{port}/secret.png",
            " http://127.0.0.1:{port}/secret.png",
            "//127.0.0.1:{port}/secret.png",
            "http://user@127.0.0.1:{port}/secret.png",
            "http://127.0.0.1:{port}/redirect",
            "ftp://127.0.0.1:{port}/secret.png",
            "gopher://127.0.0.1:{port}/",
            "http://127.0.0.1:{port}/gradio_api/file=/etc/passwd",
            "https://example.org/a.jpg",
        ],
    )
    def test_none_is_opened(self, server: Server, inside: tuple[int, list[str]], address: str) -> None:
        port, came = inside
        address = address.format(port=port)
        for file in (
            file_at(address),
            {"path": address},
            {"url": address, **file_at(address)},
            {**file_at(address), "is_stream": True},
        ):
            for answer in _calls(server, file):
                assert answer.status_code in (404, 422), answer.text
        assert _tool(server, **{_parameter(server): address})["result"]["isError"]
        for route in ("gradio_api/file=", "gradio_api/proxy="):
            assert httpx.get(f"{server.address}/{route}{address.strip()}").status_code == 404
        assert came == []

    def test_a_tool_takes_a_picture_itself_or_one_that_was_uploaded(self, server: Server) -> None:
        name = _parameter(server)
        uploaded = f"http://elsewhere.example/gradio_api/file={server.upload(_png())}"
        for given in (data_url(_png()), uploaded):
            result = _tool(server, **{name: given})["result"]
            assert not result["isError"], result


def _bomb(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000_000), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _gif_bomb() -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0)
        + bytes(6)
        + b","
        + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0)
        + b"\x02\x02\x4c\x01\0;"
    )


def _webp_bomb() -> bytes:
    size = (16_383 - 1) | (16_383 - 1) << 14
    data = b"\x2f" + struct.pack("<I", size) + bytes(20)
    chunk = b"VP8L" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def _scans() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (4000, 3000), (9, 99, 9)).save(target, "JPEG", progressive=True)
    content = target.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * 3000 + b"\xff\xd9"


class TestPictures:
    @pytest.mark.parametrize(
        ("content", "key"),
        [
            (lambda: _bomb(50_000, 50_000), "too_large"),
            (lambda: _bomb(2**31 - 1, 2**31 - 1), "too_large"),
            (lambda: _bomb(60_000, 32), "too_narrow"),
            (_gif_bomb, "too_large"),
            (_webp_bomb, "too_large"),
            (_scans, "too_large"),
            (lambda: b"PK\3\4" + bytes(1000), "unreadable"),
            (lambda: b"", "empty"),
            (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "unreadable"),
            (
                lambda: b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg>&a;</svg>",
                "unreadable",
            ),
            (lambda: b"<html><script>alert(1)</script></html>", "unreadable"),
            (lambda: _png()[:60], "damaged"),
            (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(/etc/passwd) run", "unreadable"),
        ],
    )
    def test_each_gets_its_sentence_within_a_second(self, server: Server, content: Any, key: str) -> None:
        for path in (server.upload(content(), "dancer.jpg"), data_url(content())):
            began = time.monotonic()
            event, data = server.predict(path)
            assert time.monotonic() - began < 2
            assert event == "error"
            assert LANGUAGES[ENGLISH](key) in data
            assert str(server.folder) not in data
            assert "/" not in data.replace(LANGUAGES[ENGLISH](key), "").replace("</", "")

    def test_a_picture_that_is_also_a_page_is_served_as_neither_script_nor_page(self, server: Server) -> None:
        polyglot = _png() + b"<html><script>alert(document.domain)</script></html>"
        event, _ = server.predict(server.upload(polyglot, "dancer.html"))
        assert event == "complete"
        for name in (
            "dancer.html",
            "dancer.svg",
            "dancer.jpg",
            "dancer.xml",
            "dancer.js",
            "dancer.xhtml",
            "dancer",
            "a.pdf",
        ):
            answer = httpx.get(f"{server.address}/gradio_api/file={server.upload(polyglot, name)}")
            assert answer.status_code == 200
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in answer.headers["content-security-policy"]
            kind, disposition = answer.headers["content-type"], answer.headers["content-disposition"]
            assert kind.startswith("image/jpeg") or disposition.startswith("attachment"), (name, kind, disposition)
            assert "html" not in kind
            assert "svg" not in kind

    @pytest.mark.parametrize(
        "name",
        [
            "a\r\nSet-Cookie: x=1.jpg",
            'a"; filename="b.html',
            "नृत्य.jpg",
            "舞.jpg",
            "x" * 5_000 + ".jpg",
            "..",
            "../../a.jpg",
            "/etc/passwd",
            "a\\..\\b.jpg",
            "CON.jpg",
            ".hidden.jpg",
            "💃" * 300 + ".jpg",
            "a;b&c|d`e.jpg",
            "\u202egpj.exe",
            "<img src=x onerror=alert(1)>.jpg",
            "%2e%2e%2fa.jpg",
            "a\tb.jpg",
            " ",
            "-rf.jpg",
            "{{7*7}}.jpg",
        ],
    )
    def test_names_are_only_names(self, server: Server, name: str) -> None:
        answer = httpx.post(f"{server.address}/gradio_api/upload", files={"files": (name, _png())})
        assert answer.status_code in (200, 400, 413), answer.text
        assert "set-cookie" not in answer.headers
        assert str(server.folder) not in answer.text or answer.status_code == 200
        if answer.status_code == 200:
            path = Path(answer.json()[0])
            assert path.resolve().parent.parent == server.uploads.resolve()
            back = httpx.get(f"{server.address}/gradio_api/file={quote(str(path))}")
            assert back.content == _png()
            assert "set-cookie" not in back.headers

    def test_a_name_of_ten_thousand_characters(self, server: Server) -> None:
        answer = httpx.post(f"{server.address}/gradio_api/upload", files={"files": ("x" * 10_000, _png())})
        assert (answer.status_code, answer.text) == (413, "Headers exceeded maximum allowed size.")


class TestBodies:
    def test_a_file_that_is_too_large(self, server: Server) -> None:
        files = {"files": ("a.jpg", bytes(MAX_BYTES + 1))}
        answer = httpx.post(f"{server.address}/gradio_api/upload", files=files, timeout=30)
        assert answer.status_code == 413
        assert str(server.folder) not in answer.text

    def test_a_data_url_that_is_too_large(self, server: Server) -> None:
        for content, status in ((bytes(MAX_BYTES + 1), 422), (bytes(MAX_BYTES + 2**20), 413)):
            call = {"data": [data_url(content)]}
            answer = httpx.post(f"{server.address}/gradio_api/call/predict", json=call, timeout=30)
            assert (answer.status_code, told(answer)) == (status, LANGUAGES[ENGLISH]("too_heavy"))

    @pytest.mark.parametrize("inner", ["[]", '"data:,"', '{"url": "data:,"}'])
    def test_a_call_is_long_by_its_pictures_alone(self, server: Server, inner: str) -> None:
        before = len(list(server.uploads.iterdir()))
        for count, status in ((MOST + 1, 422), (400_000, 413)):
            body = f'{{"data": [[{",".join([inner] * count)}]]}}'
            answer = httpx.post(f"{server.address}/gradio_api/call/predict_many", content=body, timeout=30)
            assert answer.status_code == status
            assert told(answer)
        assert len(list(server.uploads.iterdir())) == before

    def test_what_announces_too_much_is_not_read(self, server: Server) -> None:
        for path in ("upload", "call/predict", "queue/join", "mcp/"):
            head = f"POST /gradio_api/{path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            answer = _raw(server, f"{head}Content-Length: {10**12}\r\n\r\n")
            assert answer.split()[1] == b"413", answer

    def test_what_does_not_announce_it_is_cut_off(self, server: Server) -> None:
        def endless() -> Iterator[bytes]:
            for _ in range(200):
                yield b" " * 65_536

        answer = httpx.post(f"{server.address}/gradio_api/call/predict", content=endless(), timeout=30)
        assert answer.status_code == 413

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "{",
            "null",
            "1",
            '"x"',
            "[]",
            "{}",
            '{"data": null}',
            '{"data": "x"}',
            '{"data": {}}',
            '{"data": []}',
            '{"data": [1, 2, 3, 4, 5, 6, 7, 8, 9]}',
            '{"data": [1]}',
            '{"data": ["x"]}',
            '{"data": [[]]}',
            '{"data": [{}]}x',
            '{"data": [{"path": 1}]}',
            '{"data": [{"path": {}}]}',
            '{"data": [{"path": null, "meta": 3}]}',
            '{"data": [NaN]}',
            '{"data": [null], "session_hash": 7}',
            '{"data": [null], "session_hash": "../../x"}',
            '{"data": [null], "batched": true}',
            '{"data": [null], "fn_index": 10000}',
            '{"data": [null], "fn_index": -1}',
            '{"data": [null], "fn_index": "0"}',
            '{"data": [null], "fn_index": true}',
            '{"data": [null], "trigger_id": "x"}',
            '{"data": [null], "event_data": "x"}',
            '{"data": [{"path": "\\ud800"}]}',
            "[" * 100_000,
            '{"data": ' * 5_000,
            '{"data": [' + "9" * 100_000 + "]}",
            '{"data": [{"path": "a", "meta": {"_type": "gradio.FileData"}, "meta": null}]}',
            b"\xff\xfe{",
            b"\0" * 99,
        ],
    )
    def test_calls_of_a_wrong_shape_are_told_so(self, server: Server, body: str | bytes) -> None:
        headers = {"Content-Type": "application/json"}
        for path in ("call/predict", "call/v2/predict", "run/predict", "queue/join"):
            answer = httpx.post(f"{server.address}/gradio_api/{path}", content=body, headers=headers)
            assert answer.status_code in (400, 404, 422), (path, answer.status_code, answer.text)
            assert told(answer)
            assert len(answer.text) < 600

    @pytest.mark.parametrize(
        "path", ["call/nothing", "call/v2/nothing", "run/nothing", "call/__init__", "call/" + "x" * 64]
    )
    def test_there_are_no_other_endpoints(self, server: Server, path: str) -> None:
        answer = httpx.post(f"{server.address}/gradio_api/{path}", json={"data": [None]})
        assert answer.status_code == 404

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "[]",
            "{}",
            '{"jsonrpc": "2.0"}',
            '{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}',
            '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": {}}}',
            '{"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "predict", "arguments": {"x": 1}}}',
            '{"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "file:///etc/passwd"}}',
        ],
    )
    def test_tools_called_in_a_wrong_way(self, server: Server, body: str) -> None:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        answer = httpx.post(f"{server.address}/gradio_api/mcp/", content=body, headers=headers)
        assert answer.status_code < 500
        assert str(server.folder) not in answer.text
        assert "root:" not in answer.text

    def test_uploads_of_a_wrong_shape(self, server: Server) -> None:
        url = f"{server.address}/gradio_api/upload"
        for headers, content in (
            ({}, b""),
            ({"Content-Type": "text/plain"}, b"x"),
            ({"Content-Type": "multipart/form-data"}, b"x"),
            ({"Content-Type": "multipart/form-data; boundary=x"}, b"garbage"),
            (
                {"Content-Type": "multipart/form-data; boundary=x"},
                b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--x--\r\n',
            ),
            (
                {"Content-Type": "multipart/form-data; boundary=x"},
                b"--x\r\nContent-Disposition: form-data\r\n\r\nx\r\n--x--\r\n",
            ),
        ):
            answer = httpx.post(url, content=content, headers=headers)
            assert 400 <= answer.status_code < 500, (headers, content, answer.status_code)


def test_one_visitor_does_not_choose_what_others_are_told_to_call(server: Server) -> None:
    for path in ("gradio_api/info", "gradio_api/openapi.json", "config", "", "gradio_api/mcp/schema"):
        evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
        httpx.get(f"{server.address}/{path}", headers=evil)
        assert "evil.example" not in httpx.get(f"{server.address}/{path}").text


_JUNK = [
    None,
    0,
    -1e308,
    True,
    "",
    "x" * 10_000,
    "नृत्य\u202e",
    [],
    {},
    [[]],
    [None],
    [None] * 500,
    {"path": "/etc/passwd"},
    [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}],
    [{"image": {"path": "/etc/passwd"}, "caption": None}],
    {"url": "/etc/passwd"},
    {"path": None, "url": "data:image/png;base64,x"},
    {"__type__": "update", "value": "/etc/passwd"},
    {"value": {"path": "/etc/passwd"}},
]


@pytest.mark.parametrize("junk", _JUNK)
def test_every_function_of_the_page_stands_junk(server: Server, junk: object) -> None:
    _join_all(server, junk, None)


@pytest.mark.parametrize(
    "event", [{}, {"index": -1}, {"index": "x"}, {"index": 10**30}, {"_data": 1}, {"index": [0, 1]}, {"value": {}}]
)
def test_every_function_of_the_page_stands_odd_events(server: Server, event: dict[str, Any]) -> None:
    _join_all(server, None, event)


def _join_all(server: Server, value: object, event: dict[str, Any] | None) -> None:
    functions = httpx.get(f"{server.address}/config").json()["dependencies"]
    assert len(functions) >= 5
    for function in functions:
        session = secrets.token_hex(8)
        call = {"data": [value] * len(function["inputs"]), "fn_index": function["id"], "session_hash": session}
        joined = httpx.post(f"{server.address}/gradio_api/queue/join", json={**call, "event_data": event})
        assert joined.status_code in (200, 404, 422), joined.text
        if joined.status_code == 200:
            said = server.answers(session)
            assert "process_completed" in said
            assert "root:" not in said
            assert str(server.folder) not in said


def _raw(server: Server, request: str, seconds: float = 5) -> bytes:
    """Sends bytes as they are and returns the beginning of the answer."""
    port = int(server.address.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.sendall(request.encode("utf-8", "surrogateescape"))
        return connection.recv(65_536)


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\nHost: x\r\nX: " + "y" * 200_000 + "\r\n\r\n",
        "GET /" + "a" * 100_000 + " HTTP/1.1\r\nHost: x\r\n\r\n",
        "\0\1\2\r\n\r\n",
        "GET http://127.0.0.1/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /gradio_api/cancel HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "GET /gradio_api/file=%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /gradio_api/heartbeat/..%2f..%2f HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /?deep_link=../../x HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /config?deep_link=../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /?page=x&__theme=%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /gradio_api/queue/data HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /gradio_api/queue/data?session_hash=nobody HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /gradio_api/call/predict/nothing HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_odd_requests(server: Server, head: str) -> None:
    try:
        answer = _raw(server, head)
    except ConnectionError:
        return
    assert b" 500 " not in answer.split(b"\r\n")[0]
    assert b"root:" not in answer


class TestSlow:
    def test_a_body_that_trickles_is_given_up(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        from demo.serving.upload_folder import UploadFolder

        monkeypatch.setattr(bodies, "GRACE", 0.3)
        sent: list[dict[str, Any]] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            while (await receive()).get("more_body"):
                pass

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0.1)
            return {"type": "http.request", "body": b"x", "more_body": True}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": []}
        at_the_door = door.Door(app, UploadFolder(tmp_path), 9, lambda _: "busy", threading.Event())
        asyncio.run(asyncio.wait_for(at_the_door(scope, receive, send), 3))
        assert sent[0]["status"] == 408

    def test_connections_that_ask_nothing_do_not_keep_others_out(self, server: Server) -> None:
        port = int(server.address.rsplit(":", 1)[1])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        try:
            for number, connection in enumerate(idle):
                if number % 2:
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            assert server.predict(server.upload(_png()))[0] == "complete"
            idle[1].settimeout(15)
            assert idle[1].recv(100) == b""
        finally:
            for connection in idle:
                connection.close()


def test_a_full_queue_says_so_and_goes_on(server: Server) -> None:
    path = server.upload(_png(Image.new("RGB", (3000, 3000))))

    async def ask_all() -> list[httpx.Response]:
        async with httpx.AsyncClient(
            base_url=server.address, timeout=60, limits=httpx.Limits(max_connections=None)
        ) as client:
            calls = [client.post("/gradio_api/call/predict", json={"data": [file_at(path)]}) for _ in range(300)]
            return await asyncio.gather(*calls)

    answers = asyncio.run(ask_all())
    assert {answer.status_code for answer in answers} <= {200, 429}
    busy = [answer for answer in answers if answer.status_code == 429]
    assert busy
    assert busy[0].json() == {"detail": LANGUAGES[ENGLISH]("busy")}
    assert busy[0].headers["retry-after"]
    for answer in answers:
        if answer.status_code == 200:
            said = httpx.get(f"{server.address}/gradio_api/call/predict/{answer.json()['event_id']}", timeout=60)
            assert "event: complete" in said.text


def test_the_page_works_below_a_prefix(model_folder: Path, tmp_path: Path, free_port: int) -> None:
    with started(tmp_path, free_port, MODEL_ID=str(model_folder), GRADIO_ROOT_PATH="/dances") as server:
        config = httpx.get(f"{server.address}/config", headers={"X-Forwarded-Host": "example.org"}).json()
        assert config["root"].endswith("/dances")
        assert server.predict(server.upload(_png()))[0] == "complete"
