"""The command as a person uses it: what is collected, what is not and why, and what it prints."""

import csv
import hashlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset_card.build import build
from dataset_card.provenance import read_provenance
from tests.conftest import ROOT, wait_for
from tests.openweb.commons import Commons, File
from tests.openweb.pictures import picture
from tests.openweb.server import Answer, Fault, OpenWeb

Cli = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]


def _kathak(count: int = 4, **fields: object) -> Commons:
    files = [File(f"Kathak {number}.jpg", 100 + number, **fields) for number in range(count)]
    return Commons(files, {"Kathak": [file.name for file in files]}, articles={"Kathak": "Kathak"})


def _files(photos: Path) -> list[str]:
    return sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*") if path.is_file())


def test_pictures_come_with_their_provenance(openweb: OpenWeb, tmp_path: Path, cli: Cli) -> None:
    commons = _kathak(2, date='<time class="dtstart" datetime="2019-01-26">26 January 2019</time>')
    commons.files[1].size, commons.files[1].license = (1200, 800), "CC0"
    commons.put_on(openweb)
    code, out, _ = cli("dataset_card", "collect", tmp_path / "photos", "--dance", "Katthak")
    assert code == 0
    photos = tmp_path / "photos"
    assert _files(photos) == ["kathak/commons-100.jpg", "kathak/commons-101.jpg", "provenance.jsonl"]
    records = read_provenance(photos)
    first, second = records["kathak/commons-100.jpg"], records["kathak/commons-101.jpg"]
    assert (first.source, first.license) == ("commons", "cc-by-sa-4.0")
    assert (first.author, first.author_url) == ("Mira", "https://commons.wikimedia.org/wiki/User:Mira")
    assert first.source_url == "https://commons.wikimedia.org/wiki/File:Kathak_0.jpg"
    assert (first.title, first.event) == ("Kathak 0.jpg", "2019-01-26")
    assert first.license_url == "https://creativecommons.org/licenses/by-sa/4.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", first.retrieved_at)
    # The original where it is small enough; of a larger one a scaled copy, and the original's hash all the same.
    assert (photos / first.file).read_bytes() == commons.files[0].original()
    assert (photos / second.file).read_bytes() == picture(101, 960, 640)
    assert second.sha1 == hashlib.sha1(commons.files[1].original()).hexdigest()
    assert out.splitlines() == [
        "licence       new pictures",
        "CC BY-SA 4.0             1",
        "CC0 1.0                  1",
        f"{photos / 'kathak'}: 2 new, 2 in all",
        f"Next: python -m dataset_card collect {photos} --dance bharatanatyam --contact YOU",
    ]


def test_build_reads_what_was_collected(openweb: OpenWeb, tmp_path: Path, cli: Cli) -> None:
    commons = _kathak(4)
    commons.files += [File(f"Odissi {n}.jpg", 200 + n, license="CC BY 3.0") for n in range(4)]
    commons.members["Odissi"] = [f"Odissi {n}.jpg" for n in range(4)]
    for number, file in enumerate(commons.files):
        # What one author photographed on one day would never part.
        file.date = f"2019-01-{1 + number % 4:02d}"
    commons.put_on(openweb)
    for dance in ("kathak", "odissi"):
        code, out, _ = cli("dataset_card", "collect", tmp_path / "photos", "--dance", dance)
        assert code == 0
    assert out.splitlines()[-1] == f"Next: python -m dataset_card build {tmp_path / 'photos'} --out DATASET"
    rows = build(tmp_path / "photos", tmp_path / "dances", seed=8).curated.rows
    licenses = Counter(rows["license"])
    assert licenses == {"cc-by-sa-4.0": 4, "cc-by-3.0": 4}
    assert not (tmp_path / "photos" / ".collecting").exists()


def test_reasons_to_leave_out_are_counted(openweb: OpenWeb, tmp_path: Path, cli: Cli) -> None:
    bad = {
        "no author named": {"author": ""},
        "licence does not allow it": {"license": "CC BY-NC 4.0"},
        "licence unclear": {"meta": {"LicenseUrl": "https://creativecommons.org/licenses/by/4.0"}},
        "not free": {"meta": {"NonFree": "1"}},
        "up for deletion": {"meta": {"DeletionReason": "copyvio"}},
        "restricted by other rights": {"meta": {"Restrictions": "personality|trademarked"}},
        "no photograph": {"info": {"mime": "image/svg+xml"}},
        "too small": {"size": (180, 240)},
    }
    commons = _kathak(1)
    commons.files += [File(f"Bad {n}.jpg", 300 + n, **fields) for n, fields in enumerate(bad.values())]
    commons.members["Kathak"] = [file.name for file in commons.files]
    commons.put_on(openweb)
    code, out, err = cli("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak")
    assert code == 0
    assert dict(re.findall(r"left out, (.+): (\d+)", out)) == dict.fromkeys(bad, "1")
    assert openweb.media() == ["/media/Kathak_0.jpg"]
    assert "left out: 1 no author named" in err


def test_the_same_command_again_downloads_nothing(openweb: OpenWeb, tmp_path: Path, cli: Cli) -> None:
    commons = _kathak(3)
    # Smaller than its page states: that shows only after the download.
    commons.files[2].size, commons.files[2].info = (150, 150), {"width": 320, "height": 320}
    commons.put_on(openweb)
    words = ("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak")
    assert cli(*words)[0] == 0
    before = _files(tmp_path / "photos")
    assert ".collect_refused.csv" in before
    assert len(openweb.media()) == 3
    code, out, _ = cli(*words)
    assert code == 0
    assert "left out, already here: 2\nleft out, too small: 1\n" in out
    assert _files(tmp_path / "photos") == before
    assert len(openweb.media()) == 3
    # A picture that the user deleted is not downloaded again.
    (tmp_path / "photos" / "kathak" / "commons-100.jpg").unlink()
    assert "left out, deleted here before: 1" in cli(*words)[1]
    assert len(openweb.media()) == 3


def test_the_limit_includes_what_is_there(openweb: OpenWeb, tmp_path: Path, cli: Cli) -> None:
    _kathak(9).put_on(openweb)
    words = ("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak", "--limit")
    assert cli(*words, 3)[0] == 0
    assert len(openweb.media()) == 3
    assert cli(*words, 5)[0] == 0
    assert len(openweb.media()) == 5
    asked = len(openweb.requests)
    code, out, _ = cli(*words, 5)
    assert code == 0
    assert "0 new, 5 in all" in out
    assert len(openweb.requests) == asked


def test_a_picture_in_two_categories_is_downloaded_once(openweb: OpenWeb, tmp_path: Path, cli: Cli) -> None:
    commons = _kathak(2)
    # Another upload of the same file has the same hash.
    commons.files.append(File("Kathak copy.jpg", 150, seed=100))
    commons.members |= {"Kathak dancers": ["Kathak 0.jpg", "Kathak copy.jpg"]}
    commons.below = {"Kathak": ["Kathak dancers"], "Kathak dancers": ["Kathak"]}
    commons.search_results = {"Kathak dancer": ["Kathak 1.jpg"]}
    commons.put_on(openweb)
    code, out, _ = cli("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak")
    assert code == 0
    assert "left out, found twice: 3" in out
    assert sorted(openweb.media()) == ["/media/Kathak_0.jpg", "/media/Kathak_1.jpg"]


def test_a_picture_of_two_dances_stays_with_the_first(openweb: OpenWeb, tmp_path: Path, cli: Cli) -> None:
    commons = _kathak(2)
    commons.members["Odissi"] = ["Kathak 1.jpg"]
    commons.put_on(openweb)
    assert cli("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak")[0] == 0
    code, _, err = cli("dataset_card", "collect", tmp_path / "photos", "--dance", "odissi")
    assert code == 2
    assert "1 found for odissi, none of use (1 already here as kathak)" in err
    assert len(openweb.media()) == 2


def test_removed_pictures_are_not_downloaded(openweb: OpenWeb, tmp_path: Path, cli: Cli) -> None:
    commons = _kathak(3)
    commons.put_on(openweb)
    sha256 = hashlib.sha256(commons.files[2].original()).hexdigest()
    photos = tmp_path / "photos"
    photos.mkdir()
    with (photos / "removed.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["sha256", "source_url", "reason", "date"],
                ["", "https://commons.wikimedia.org/wiki/File:Kathak 0.jpg", "asked by the dancer", "2026-11-01"],
                [sha256, "", "asked by the dancer", "2026-11-01"],
            ]
        )
    code, out, _ = cli("dataset_card", "collect", photos, "--dance", "kathak")
    assert code == 0
    assert "left out, on the list of removed pictures: 2" in out
    assert _files(photos) == [
        ".collect_refused.csv", "kathak/commons-101.jpg", "provenance.jsonl", "removed.csv",
    ]  # fmt: skip
    assert "/media/Kathak_0.jpg" not in openweb.media()


def test_a_class_that_is_not_a_known_dance(openweb: OpenWeb, tmp_path: Path, cli: Cli, refused: Refused) -> None:
    commons = Commons(
        [File("Y 1.jpg", 7)], {"Yakshagana": ["Y 1.jpg"]}, search_results={"yakshagana stage": ["Y 1.jpg"]}
    )
    commons.put_on(openweb)
    words = ("dataset_card", "collect", tmp_path / "photos", "--dance", "../Yakshagāna ")
    assert "is none of the known dances (bharatanatyam, kathak," in refused(*words)
    assert "has no category 'Theyyam' with files" in refused(*words, "--category", "Theyyam")
    assert cli(*words, "--category", "yakshagana")[0] == 0
    assert _files(tmp_path / "photos") == ["provenance.jsonl", "yakshagāna/commons-7.jpg"]
    assert cli(*words, "--query", "yakshagana stage")[0] == 0
    assert len(openweb.media()) == 1


@pytest.mark.parametrize("contact", ["", "YOU", "me@localhost", "you@example.org\nX-Evil: 1", "a@b.c (x)", "é@b.org"])
def test_a_contact_is_required(
    openweb: OpenWeb, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, contact: str
) -> None:
    monkeypatch.delenv("NRITYA_CONTACT")
    error = refused("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak", "--contact", contact)
    assert "such as --contact me@example.org" in error
    assert openweb.requests == []
    assert list(tmp_path.iterdir()) == []


def test_the_contact_is_in_every_request(openweb: OpenWeb, tmp_path: Path, cli: Cli) -> None:
    _kathak().put_on(openweb)
    cli("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak", "--contact", "https://example.org/me")
    assert len(openweb.requests) > 5
    for request in openweb.requests:
        assert re.fullmatch(r"nritya/[\d.]+ \(https://example\.org/me\) httpx2/[\d.]+", request.headers["User-Agent"])


def test_requests_keep_their_distance(
    openweb: OpenWeb, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NRITYA_PAUSE", "0.1")
    openweb.delay = 0.25
    _kathak(6).put_on(openweb)
    assert cli("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak")[0] == 0
    media = [request for request in openweb.requests if request.is_media]
    assert len(media) == 6
    assert openweb.most_at_once(media) == 2
    assert openweb.most_at_once([request for request in openweb.requests if not request.is_media]) == 1
    starts = sorted(request.start for request in openweb.requests)
    # Less than the pause: a request may take longer to arrive than the next one.
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) > 0.06


def test_after_a_kill_it_continues_and_downloads_nothing_twice(openweb: OpenWeb, tmp_path: Path) -> None:
    commons = _kathak(12)
    commons.put_on(openweb)
    openweb.delay = 0.05
    photos = tmp_path / "photos"
    words = [sys.executable, "-m", "dataset_card", "collect", str(photos), "--dance", "kathak"]
    here: set[str] = set()
    for enough in (3, 5):
        asked = len(openweb.media())
        process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
        wait_for(lambda goal=asked + enough: len(openweb.media()) >= goal, 30)
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = openweb.media()[asked:]
        assert not here & set(now)
        for number, file in enumerate(commons.files):
            # In its place, or whole in the hidden folder.
            for path in photos.glob(f"**/commons-{100 + number}.jpg"):
                assert path.read_bytes() == file.original()
                here.add(f"/media/Kathak_{number}.jpg")
        # Two were being downloaded; the others are kept.
        assert len(set(now) - here) <= 2
        records = read_provenance(photos)
        assert {path.name for path in photos.glob("kathak/*")} <= {Path(file).name for file in records}
    assert here
    asked = len(openweb.media())
    answer = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert sorted(openweb.media()[asked:]) == sorted({f"/media/Kathak_{n}.jpg" for n in range(12)} - here)
    assert len(read_provenance(photos)) == 12
    assert set(_files(photos)) == {"provenance.jsonl", *read_provenance(photos)}


def test_one_collector_at_a_time(openweb: OpenWeb, tmp_path: Path, refused: Refused) -> None:
    _kathak(3).put_on(openweb)
    openweb.delay = 0.25
    words = ("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak")
    process = subprocess.Popen([sys.executable, "-m", *map(str, words)], cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_for(lambda: openweb.media(), 30)
    assert "is being written by another process" in refused(*words)
    assert process.wait(30) == 0
    assert len(openweb.media()) == 3


def test_an_interrupt_ends_it_at_once(openweb: OpenWeb, tmp_path: Path) -> None:
    _kathak(3).put_on(openweb)
    words = [sys.executable, "-m", "dataset_card", "collect", str(tmp_path / "photos"), "--dance", "kathak"]
    # Two minutes between two requests: longer than a busy machine takes to end a process.
    process = subprocess.Popen(
        words, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "NRITYA_PAUSE": "120"}
    )
    wait_for(lambda: openweb.requests, 30)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_no_network(tmp_path: Path, refused: Refused, openweb: OpenWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COMMONS_API", "WIKIDATA_API"):
        monkeypatch.setenv(f"NRITYA_{name}", "http://127.0.0.1:9/w/api.php")
    error = refused("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak")
    assert re.fullmatch(
        r"error: 127\.0\.0\.1 can't be reached \(.*Connection refused.*\): check the network, and run the same .*",
        error,
    )
    assert list(tmp_path.iterdir()) == []


def test_nothing_found(openweb: OpenWeb, tmp_path: Path, refused: Refused) -> None:
    Commons([]).put_on(openweb)
    error = refused("dataset_card", "collect", tmp_path / "photos", "--dance", "sattriya")
    assert error == (
        "error: nothing found for sattriya: try other words with --query, a greater --depth, or another --source"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_drawings_is_refused(photos: Path, tmp_path: Path, refused: Refused, openweb: OpenWeb) -> None:
    drawings = shutil.copytree(photos, tmp_path / "drawings")
    assert "holds drawings" in refused("dataset_card", "collect", drawings, "--dance", "kathak")
    assert openweb.requests == []


def test_categories_need_commons(tmp_path: Path, refused: Refused, openweb: OpenWeb) -> None:
    words = ("--dance", "kathak", "--source", "openverse", "--category", "Kathak")
    assert "--category is for --source commons" in refused("dataset_card", "collect", tmp_path / "photos", *words)


PASSING = [
    *(Answer(b"", status) for status in (403, 408, 429, 500, 503, 520)),
    Answer(b"<html>Sign in</html>", kind="text/html"),
    Answer(b"", 302, headers={"Location": "http://10.0.0.1/login"}),
    Answer(picture(102), kind="image/jpeg", cut=500),
    Answer(picture(102)[:500], kind="image/jpeg", with_length=False),
    Answer(hangs_up=True),
]


@pytest.mark.parametrize("answer", PASSING)
def test_what_was_not_delivered_is_asked_for_another_time(
    openweb: OpenWeb, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setenv("NRITYA_PAUSE", "0.002")
    _kathak(4).put_on(openweb)
    openweb.faults = [Fault("/media/Kathak_2", answer, times=5)]
    words = ("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak")
    code, out, err = cli(*words)
    assert code == 2
    assert "not delivered: 1\n" in out
    assert "3 new, 3 in all" in out
    assert re.search(r"error: 1 of the pictures were not delivered \(.*\): run the same command again later", err)
    assert ".collect_refused.csv" not in _files(tmp_path / "photos")
    openweb.faults.clear()
    code, out, _ = cli(*words)
    assert code == 0
    assert "1 new, 4 in all" in out


@pytest.mark.parametrize("answer", [Answer(b"", 503), Answer(b"", 403), Answer(hangs_up=True)])
def test_a_source_that_delivers_nothing_is_left_early(
    openweb: OpenWeb, tmp_path: Path, cli: Cli, refused: Refused, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setenv("NRITYA_PAUSE", "0.002")
    _kathak(20).put_on(openweb)
    openweb.faults = [Fault("/media/", answer, times=999)]
    words = ("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak")
    error = refused(*words)
    assert re.search(r"downloads fail \(127\.0\.0\.1 .+\), 5 in a row, after 0 new pictures: run the same", error)
    assert len(set(openweb.media())) <= 6
    assert list(tmp_path.iterdir()) == []
    openweb.faults.clear()
    assert "20 new, 20 in all" in cli(*words)[1]


def test_a_host_that_asks_to_wait_long_is_not_asked_again(openweb: OpenWeb, tmp_path: Path, refused: Refused) -> None:
    _kathak(20).put_on(openweb)
    openweb.faults = [Fault("/media/", Answer(b"", 429, headers={"Retry-After": "7200"}), times=999, skip=2)]
    error = refused("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak")
    assert re.search(
        r"downloads fail \(127\.0\.0\.1 asks to wait for 120 minutes\), 1 in a row, after [12] new", error
    )
    assert len(openweb.media()) <= 4


def test_a_server_that_does_not_answer_in_time(
    openweb: OpenWeb, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataset_card.sources.http._TIMEOUT", 0.05)
    openweb.delay = 0.2
    error = refused("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak")
    assert "127.0.0.1 can't be reached (timed out): check the network, and run the same command" in error


def test_a_picture_that_is_not_for_ai(openweb: OpenWeb, tmp_path: Path, cli: Cli) -> None:
    _kathak(3).put_on(openweb)
    openweb.faults = [
        Fault("Kathak_1", Answer(picture(101), kind="image/jpeg", headers={"X-Robots-Tag": "noindex, noimageai"})),
        Fault("Kathak_2", Answer(picture(102), kind="image/jpeg", headers={"X-Robots-Tag": "otherbot: noai"})),
    ]
    photos = tmp_path / "photos"
    words = ("dataset_card", "collect", photos, "--dance", "kathak")
    for _ in range(2):
        code, out, _ = cli(*words)
        assert code == 0
        assert "left out, not to be used for AI: 1\n" in out
    assert len(openweb.media()) == 3
    assert sorted(path.name for path in (photos / "kathak").iterdir()) == ["commons-100.jpg", "commons-102.jpg"]
    assert (photos / ".collect_refused.csv").read_text().splitlines() == [
        "source_url,reason,detail",
        "https://commons.wikimedia.org/wiki/File:Kathak_1.jpg,not to be used for AI,X-Robots-Tag: noimageai",
    ]
