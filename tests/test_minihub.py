"""The test Hub under the clients as they are, in processes of their own: they read HF_ENDPOINT when they start."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pyarrow
import pyarrow.parquet
import pytest

from tests.minihub.fixture import WRITE_TOKEN, RunningHub, start_hub

PRELUDE = """
import hashlib, json, os, time
from pathlib import Path
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download, snapshot_download
api = HfApi()

def outcome(call, *args, **options):
    try:
        call(*args, **options)
    except Exception as error:
        return [type(error).__name__, getattr(getattr(error, "response", None), "status_code", None)]
    return "done"

def titles(repo_id, **options):
    return [commit.title for commit in api.list_repo_commits(repo_id, **options)]
"""
CARD = "---\nlicense: mit\ntags:\n- dance\n---\n# A card\n"
# Above this, plain LFS goes in parts; some test files are below, some above.
MULTIPART_ABOVE = 100_000
PART_SIZE = 40_000


@pytest.fixture(scope="module", params=["plain", "xet"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    folder = tmp_path_factory.mktemp(request.param)
    with start_hub(
        folder, xet=request.param == "xet", multipart_above=MULTIPART_ABOVE, part_size=PART_SIZE
    ) as running:
        yield running


@pytest.fixture(scope="module")
def plain_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A Hub whose clients upload by LFS only."""
    with start_hub(
        tmp_path_factory.mktemp("lfs"), multipart_above=MULTIPART_ABOVE, part_size=PART_SIZE, page=3
    ) as running:
        yield running


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a card, a text file in a sub-folder and two LFS files."""
    folder = tmp_path / "model"
    (folder / "figures").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    (folder / "figures" / "note.txt").write_text("a note")
    (folder / "model.safetensors").write_bytes(noise(30_000))
    (folder / "old.safetensors").write_bytes(noise(2_000))
    return folder


def noise(size: int) -> bytes:
    return b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(size // 32 + 1))[:size]


def client(
    hub: RunningHub, script: str, token: str | None = WRITE_TOKEN, home: Path | None = None, **environment: object
) -> Any:
    """Runs a script with the clients; gives what it prints last, read as JSON."""
    extra = {name: str(value) for name, value in environment.items()}
    answer = subprocess.run(
        [sys.executable, "-c", PRELUDE + dedent(script)],
        env={**hub.environment(token, home), **extra},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr
    assert not hub.faults_left(), "a fault that never happened tests nothing"
    hub.clear_faults()
    return json.loads(answer.stdout.splitlines()[-1])


def requests_to(hub: RunningHub, method: str, part: str) -> list[dict[str, Any]]:
    return [entry for entry in hub.log() if entry["method"] == method and part in entry["url"]]


def test_a_folder_is_pushed_once_changed_in_one_commit_and_loaded(hub: RunningHub, model: Path) -> None:
    said = client(
        hub,
        """
        folder = Path(os.environ["FOLDER"])
        api.create_repo("alice/round", private=True)
        api.upload_folder(repo_id="alice/round", folder_path=folder, commit_message="first")
        first = titles("alice/round")
        api.upload_folder(repo_id="alice/round", folder_path=folder, commit_message="again")
        api.create_tag("alice/round", tag="v1")
        again = titles("alice/round")
        (folder / "old.safetensors").unlink()
        (folder / "figures" / "note.txt").write_text("another note")
        changes = [
            CommitOperationAdd("figures/note.txt", folder / "figures" / "note.txt"),
            CommitOperationAdd("extra.safetensors", folder / "model.safetensors"),
            CommitOperationDelete("old.safetensors"),
        ]
        api.create_commit("alice/round", operations=changes, commit_message="changed")
        here, tagged = (Path(snapshot_download("alice/round", revision=name)) for name in ("main", "v1"))
        info = api.model_info("alice/round", files_metadata=True)
        print(json.dumps({
            "first": first,
            "again": again,
            "changed": titles("alice/round"),
            "files": sorted(api.list_repo_files("alice/round")),
            "note": [(path / "figures" / "note.txt").read_text() for path in (here, tagged)],
            "old": (tagged / "old.safetensors").exists(),
            "same": (here / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes(),
            "sha256": next(file.lfs.sha256 for file in info.siblings if file.rfilename == "model.safetensors"),
            "license": info.card_data.license,
            "private": info.private,
            "missing file": outcome(api.delete_file, "nowhere", "alice/round"),
            "missing revision": outcome(api.model_info, "alice/round", revision="v2"),
        }))
        """,
        FOLDER=model,
    )
    assert said["first"] == ["first", "initial commit"]
    assert said["again"] == said["first"]
    assert said["changed"] == ["changed", *said["first"]]
    kept = ["README.md", "extra.safetensors", "figures/note.txt", "model.safetensors"]
    assert said["files"] == [".gitattributes", *kept]
    assert said["note"] == ["another note", "a note"]
    assert said["old"]
    assert said["same"]
    assert said["sha256"] == hashlib.sha256(noise(30_000)).hexdigest()
    assert (said["license"], said["private"]) == ("mit", True)
    assert said["missing file"] == ["RemoteEntryNotFoundError", 404]
    assert said["missing revision"] == ["RevisionNotFoundError", 404]
    # By xet, the chunks don't come over HTTP.
    uploaded = [entry for entry in requests_to(hub, "PUT", "/models/alice%2Fround/") if entry["port"] == "store"]
    assert len(uploaded) == (0 if hub.xet else 2)


def test_a_dataset_is_loaded_whole_streamed_by_tag_and_offline(hub: RunningHub, tmp_path: Path) -> None:
    (tmp_path / "dances" / "data").mkdir(parents=True)
    table = pyarrow.table({"label": ["kathak", "odissi"], "sha256": ["a", "b"]})
    pyarrow.parquet.write_table(table, tmp_path / "dances" / "data" / "train-00000-of-00001.parquet")
    load = """
    from datasets import load_dataset
    loaded = load_dataset("alice/dances", split="train")
    streamed = load_dataset("alice/dances", split="train", streaming=True, revision="v1")
    print(json.dumps([loaded["label"][:], [row["label"] for row in streamed]]))
    """
    push = """
    api.create_repo("alice/dances", repo_type="dataset")
    api.upload_folder(repo_id="alice/dances", repo_type="dataset", folder_path=os.environ["FOLDER"])
    api.create_tag("alice/dances", tag="v1", repo_type="dataset")
    """
    labels = ["kathak", "odissi"]
    home = tmp_path / "home"
    assert client(hub, dedent(push) + dedent(load), home=home, FOLDER=tmp_path / "dances") == [labels, labels]
    again = """
    from datasets import load_dataset
    print(json.dumps(load_dataset("alice/dances", split="train")["label"][:]))
    """
    assert client(hub, again, home=home, HF_HUB_OFFLINE=1) == labels


def test_a_token_opens_what_it_should_and_no_more(hub: RunningHub, tmp_path: Path) -> None:
    said = client(
        hub,
        """
        api.create_repo("alice/secret", private=True)
        api.create_repo("alice/open")
        api.create_repo("acme/team")
        for repo_id in ("alice/secret", "alice/open"):
            api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=repo_id)
        add = dict(path_or_fileobj=b"text", path_in_repo="new.bin", repo_id="alice/open")
        answers = {}
        for token in ["", "hf_wrong", "hf_bob", "hf_alice_read", "hf_alice"]:
            api = HfApi(token=token or False)
            get = dict(filename="config.json", token=token or False, cache_dir=os.environ["HF_HOME"] + "/" + token)
            answers[token] = [
                outcome(hf_hub_download, "alice/secret", **get),
                outcome(hf_hub_download, "alice/open", **get),
                outcome(api.upload_file, **add),
                outcome(api.create_repo, "alice/mine"),
                outcome(api.create_repo, "alice/open"),
                outcome(api.create_repo, "acme/new"),
                outcome(api.delete_repo, "acme/team"),
            ]
        print(json.dumps(answers))
        """,
        home=tmp_path,
    )
    hidden, unknown, forbidden = ["RepositoryNotFoundError", 401], ["HfHubHTTPError", 401], ["HfHubHTTPError", 403]
    missing, there = ["RepositoryNotFoundError", 404], ["HfHubHTTPError", 409]
    assert said == {
        "": [hidden, "done", *[unknown] * 5],
        "hf_wrong": [unknown] * 7,
        hub.other_token: [missing, "done", *[forbidden] * 5],
        hub.read_token: ["done", "done", *[forbidden] * 5],
        hub.token: ["done", "done", "done", "done", there, "done", "done"],
    }


def test_what_the_hub_refuses_to_keep(hub: RunningHub) -> None:
    said = client(
        hub,
        """
        api.create_repo("alice/strict")
        head = api.model_info("alice/strict").sha

        def push(path, text, **options):
            return outcome(
                api.upload_file, path_or_fileobj=text.encode(), path_in_repo=path, repo_id="alice/strict", **options
            )

        print(json.dumps([
            outcome(api.create_repo, "alice/no--good"),
            outcome(api.create_repo, "alice/room", repo_type="space", space_sdk="excel"),
            push("README.md", "---\\ntags: 3\\n---\\n"),
            push("README.md", "---\\nmodel-index:\\n- name: a\\n  results:\\n  - task: {}\\n---\\n"),
            push("a.txt", "one", parent_commit=head),
            push("a.txt", "two", parent_commit=head),
            push("a.txt", "three", revision="elsewhere"),
            len(titles("alice/strict")),
        ]))
        """,
    )
    assert said[0][0] == "HFValidationError"
    # The client asks about a card before it uploads it.
    assert said[1:4] == [["ValueError", None], ["ValueError", None], ["ValueError", None]]
    assert said[4:] == ["done", ["HfHubHTTPError", 412], ["RevisionNotFoundError", 404], 2]


def test_a_refusal_to_wait_an_outage_and_a_cut_are_got_over(hub: RunningHub, model: Path) -> None:
    (model / "large.safetensors").write_bytes(noise(95_000))
    hub.faults(
        [
            {"status": 429, "match": "POST .*/preupload/", "headers": {"Retry-After": "1"}},
            {"status": 503, "match": "POST .*/xet-write|POST .*/batch|GET .*/xet-write-token"},
            {"status": "drop", "match": "GET /models/alice%2Ftry/", "bytes": 50_000},
            {"status": 503, "match": "HEAD /alice/try/resolve/"},
        ]
    )
    hub.clear_log()
    said = client(
        hub,
        """
        api.create_repo("alice/try")
        started = time.monotonic()
        api.upload_folder(repo_id="alice/try", folder_path=os.environ["FOLDER"])
        waited = time.monotonic() - started
        path = hf_hub_download("alice/try", "large.safetensors")
        print(json.dumps([waited, hashlib.sha256(Path(path).read_bytes()).hexdigest(), len(titles("alice/try"))]))
        """,
        FOLDER=model,
    )
    assert said[0] > 1
    assert said[1:] == [hashlib.sha256(noise(95_000)).hexdigest(), 2]
    assert [entry["status"] for entry in requests_to(hub, "POST", "/preupload/")] == [429, 200]
    assert [entry["fault"] for entry in requests_to(hub, "GET", "/models/alice%2Ftry/")] == ["drop", None]


def test_a_lost_answer_to_a_commit_and_a_creation_that_fails(hub: RunningHub, model: Path) -> None:
    hub.faults(
        [
            {"status": 503, "match": "POST /api/repos/create"},
            {"status": "lose", "match": "POST /api/models/alice/lost/commit/"},
        ]
    )
    said = client(
        hub,
        """
        push = dict(repo_id="alice/lost", folder_path=os.environ["FOLDER"], commit_message="mine")
        print(json.dumps([
            outcome(api.create_repo, "alice/lost"),
            outcome(api.create_repo, "alice/lost"),
            outcome(api.upload_folder, **push),
            outcome(api.upload_folder, **push),
            titles("alice/lost"),
        ]))
        """,
        FOLDER=model,
    )
    assert said[:2] == [["HfHubHTTPError", 503], "done"]
    # By LFS the commit is there although the client failed; by xet it asked again, and made a second, empty one.
    assert said[2:4] == ["done" if hub.xet else ["RemoteProtocolError", None], "done"]
    assert said[4] == [*["mine"] * (2 if hub.xet else 1), "initial commit"]


def test_a_pull_request_is_opened_read_and_added_to(hub: RunningHub, model: Path) -> None:
    client(hub, 'api.create_repo("alice/shared")\nprint("null")')
    theirs = client(
        hub,
        """
        weights = Path(os.environ["FOLDER"], "model.safetensors").read_bytes()
        add = [CommitOperationAdd("model.safetensors", weights), CommitOperationAdd("note.txt", b"a note")]
        pull = api.create_commit("alice/shared", operations=add, commit_message="Weights", create_pr=True)
        path = hf_hub_download("alice/shared", "model.safetensors", revision=pull.pr_revision)
        folder = api.upload_folder(repo_id="alice/shared", folder_path=os.environ["FOLDER"], create_pr=True)
        more = dict(path_or_fileobj=b"more", path_in_repo="more.txt", repo_id="alice/shared")
        discussions = list(api.get_repo_discussions("alice/shared", discussion_type="pull_request"))
        details = api.get_discussion_details("alice/shared", 1)
        refs = api.list_repo_refs("alice/shared", include_pull_requests=True)
        print(json.dumps({
            "pull": [pull.pr_revision, pull.pr_num, pull.pr_url],
            "same": Path(path).read_bytes() == weights,
            "folder": folder.pr_revision or sorted(api.list_repo_files("alice/shared", revision="refs/pr/2")),
            "main": api.list_repo_files("alice/shared"),
            "to main": outcome(api.upload_file, **more),
            "to pull": outcome(api.upload_file, revision="refs/pr/1", **more),
            "to itself": outcome(
                api.create_commit,
                "alice/shared",
                [CommitOperationDelete("note.txt")],
                commit_message="no",
                revision="refs/pr/1",
                create_pr=True,
            ),
            "discussions": [[d.num, d.title, d.author, d.git_reference] for d in discussions],
            "events": [event.type for event in details.events],
            "closed": len(list(api.get_repo_discussions("alice/shared", discussion_status="closed"))),
            "refs": [[ref.name for ref in refs.branches], [ref.ref for ref in refs.pull_requests]],
        }))
        """,
        token=hub.other_token,
        FOLDER=model,
    )
    assert theirs["pull"] == ["refs/pr/1", 1, f"{hub.url}/alice/shared/discussions/1"]
    assert theirs["same"]
    assert theirs["folder"] == "refs/pr/2"
    assert theirs["main"] == [".gitattributes"]
    assert theirs["to main"] == ["HfHubHTTPError", 403]
    assert theirs["to pull"] == "done"
    assert theirs["to itself"] == ["BadRequestError", 400]
    assert theirs["discussions"][1] == [1, "Weights", "bob", "refs/pr/1"]
    assert [number for number, *_ in theirs["discussions"]] == [2, 1]
    assert theirs["events"] == ["comment", "commit"]
    assert theirs["closed"] == 0
    assert theirs["refs"] == [["main"], ["refs/pr/1", "refs/pr/2"]]
    mine = """
    more = dict(path_or_fileobj=b"more", path_in_repo="other.txt", repo_id="alice/shared")
    print(json.dumps([
        outcome(api.upload_file, revision="refs/pr/1", **more),
        outcome(api.upload_file, create_pr=True, **more),
        outcome(api.upload_file, revision="refs/pr/7", **more),
        titles("alice/shared", revision="refs/pr/1")[1:],
    ]))
    """
    added = ["Upload more.txt with huggingface_hub", "Weights", "initial commit"]
    assert client(hub, mine) == ["done", "done", ["RevisionNotFoundError", 404], added]
    forbidden = ["HfHubHTTPError", 403]
    assert client(hub, mine, token=hub.read_token)[:2] == [forbidden, forbidden]
    # Other content: a client sends no commit that changes nothing.
    others = mine.replace("refs/pr/1", "refs/pr/3").replace('b"more"', 'b"theirs"')
    assert client(hub, others, token=hub.other_token)[0] == forbidden


def test_a_history_is_squashed_and_objects_are_deleted(hub: RunningHub, tmp_path: Path) -> None:
    said = client(
        hub,
        """
        repo_id = "alice/squashed"
        api.create_repo(repo_id)
        for name in ("a", "b"):
            api.upload_file(path_or_fileobj=name.encode() * 3000, path_in_repo="x.safetensors", repo_id=repo_id)
        before = [commit.commit_id for commit in api.list_repo_commits(repo_id)]
        api.create_tag(repo_id, tag="v1", revision=before[1])
        api.super_squash_history(repo_id, commit_message="one")
        squashed = titles(repo_id), titles(repo_id, revision="v1")
        files = list(api.list_lfs_files(repo_id))
        old = [file for file in files if file.file_oid == hashlib.sha256(b"a" * 3000).hexdigest()]
        def get(revision):
            options = dict(filename="x.safetensors", revision=revision, force_download=True)
            return outcome(hf_hub_download, repo_id, **options)

        served = get("v1")
        api.permanently_delete_lfs_files(repo_id, old, rewrite_history=False)
        after = [get("v1"), get(before[1]), get("main")]
        kept = len(list(api.list_lfs_files(repo_id))), api.file_exists(repo_id, "x.safetensors", revision="v1")
        api.permanently_delete_lfs_files(repo_id, files)
        api.delete_tag(repo_id, tag="v1")
        bob = HfApi(token="hf_bob")
        print(json.dumps({
            "squashed": squashed,
            "listed": [[file.filename, file.size] for file in files],
            "served": served,
            "after": after,
            "kept": kept,
            "rewritten": api.list_repo_files(repo_id),
            "tag gone": outcome(api.delete_tag, repo_id, tag="v1"),
            "no branch": outcome(api.super_squash_history, repo_id, branch="nowhere"),
            "a pull request": outcome(api.super_squash_history, repo_id, branch="refs/pr/1"),
            "not yours": outcome(bob.super_squash_history, repo_id),
            "not shown": outcome(lambda: list(bob.list_lfs_files(repo_id))),
        }))
        """,
    )
    assert said["squashed"][0] == ["one"]
    assert said["squashed"][1][1:] == ["initial commit"]
    assert said["listed"] == [["x.safetensors", 3000]] * 2
    assert said["served"] == "done"
    assert said["after"] == [["RemoteEntryNotFoundError", 404]] * 2 + ["done"]
    assert said["kept"] == [1, False]
    assert said["rewritten"] == [".gitattributes"]
    assert said["tag gone"] == said["no branch"] == ["RevisionNotFoundError", 404]
    assert said["a pull request"] == ["BadRequestError", 400]
    assert said["not yours"] == said["not shown"] == ["HfHubHTTPError", 403]


def test_a_limit_is_told_as_the_hub_does(hub: RunningHub) -> None:
    hub.faults([{"status": 429, "match": "whoami"}])
    said = client(
        hub,
        """
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.utils import parse_ratelimit_headers
        try:
            api.whoami()
        except HfHubHTTPError as error:
            limit = parse_ratelimit_headers(error.response.headers)
        print(json.dumps([limit.remaining, limit.reset_in_seconds, limit.limit, limit.window_seconds]))
        """,
    )
    assert said == [0, 1, 500, 300]


def test_a_large_object_goes_in_parts(plain_hub: RunningHub, tmp_path: Path) -> None:
    (tmp_path / "large.safetensors").write_bytes(noise(150_000))
    plain_hub.faults(
        [
            {"status": 503, "match": "PUT .*part=2"},
            {"status": "drop", "match": "PUT .*part=3", "bytes": 10},
            {"status": "lose", "match": "POST /api/complete_multipart"},
        ]
    )
    said = client(
        plain_hub,
        """
        api.create_repo("alice/parts")
        api.upload_folder(repo_id="alice/parts", folder_path=os.environ["FOLDER"])
        path = hf_hub_download("alice/parts", "large.safetensors")
        print(json.dumps([hashlib.sha256(Path(path).read_bytes()).hexdigest(), len(titles("alice/parts"))]))
        """,
        FOLDER=tmp_path,
    )
    assert said == [hashlib.sha256(noise(150_000)).hexdigest(), 2]
    parts = [entry for entry in requests_to(plain_hub, "PUT", "part=") if entry["status"] == 200]
    assert [entry["url"].partition("part=")[2][0] for entry in parts] == ["1", "2", "3", "4"]
    completions = requests_to(plain_hub, "POST", "/api/complete_multipart")
    assert [entry["status"] for entry in completions] == ["lost 200", 200]
    assert not any(entry["auth"] for entry in parts + completions)


def test_a_wrong_checksum_is_refused_on_the_way_in_and_served_on_the_way_out(
    plain_hub: RunningHub, tmp_path: Path
) -> None:
    sizes = {"small": 30_000, "large": 150_000}
    for name, size in sizes.items():
        (tmp_path / f"{name}.safetensors").write_bytes(noise(size))
    plain_hub.faults(
        [
            {"status": "corrupt", "match": "PUT .*size=30000"},
            {"status": "corrupt", "match": "PUT .*part=2", "bytes": 0},
            {"status": "corrupt", "match": "GET /models/alice%2Fdamaged/"},
        ]
    )
    plain_hub.clear_log()
    said = client(
        plain_hub,
        """
        api.create_repo("alice/damaged")

        def push(name):
            path = os.environ["FOLDER"] + f"/{name}.safetensors"
            return outcome(
                api.upload_file, path_or_fileobj=path, path_in_repo=f"{name}.safetensors", repo_id="alice/damaged"
            )

        refused = [push("small"), push("large"), len(titles("alice/damaged"))]
        kept = [push("small"), push("large"), len(titles("alice/damaged"))]
        data = Path(hf_hub_download("alice/damaged", "small.safetensors")).read_bytes()
        hub = api.get_paths_info("alice/damaged", ["small.safetensors"])[0].lfs.sha256
        print(json.dumps([refused, kept, len(data), hashlib.sha256(data).hexdigest() == hub]))
        """,
        FOLDER=tmp_path,
    )
    assert said[0] == [["RuntimeError", None], ["RuntimeError", None], 1]
    refused = [entry["url"] for entry in plain_hub.log() if entry["status"] == 400]
    assert [url.split("?")[0] for url in refused] == [
        f"/models/alice%2Fdamaged/{hashlib.sha256(noise(30_000)).hexdigest()}",
        "/api/complete_multipart",
    ]
    assert said[1] == ["done", "done", 3]
    # The client checks the size of what it downloads, and nothing else.
    assert said[2:] == [30_000, False]


def test_a_slow_body_arrives_and_a_stalled_one_is_asked_for_again(plain_hub: RunningHub, tmp_path: Path) -> None:
    (tmp_path / "slow.safetensors").write_bytes(noise(30_000))
    plain_hub.faults(
        [
            {"status": "slow", "match": "PUT .*alice%2Fslow/", "delay": 0.3},
            {"status": "slow", "match": "GET /models/alice%2Fslow/", "delay": 0.1, "bytes": 6_000},
            {"status": "slow", "match": "GET /models/alice%2Fslow/", "delay": 2},
        ]
    )
    plain_hub.clear_log()
    said = client(
        plain_hub,
        """
        api.create_repo("alice/slow")
        seconds = []

        def timed(call, *args, **options):
            started = time.monotonic()
            found = call(*args, **options)
            seconds.append(time.monotonic() - started)
            return found

        timed(api.upload_folder, repo_id="alice/slow", folder_path=os.environ["FOLDER"])
        get = dict(repo_id="alice/slow", filename="slow.safetensors", force_download=True)
        paths = [timed(hf_hub_download, **get) for _ in range(2)]
        print(json.dumps([seconds, [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]]))
        """,
        FOLDER=tmp_path,
        HF_HUB_DOWNLOAD_TIMEOUT=1,
    )
    (upload, slow, stalled), hashes = said
    assert upload > 0.3
    assert slow > 0.5
    assert stalled > 1
    assert hashes == [hashlib.sha256(noise(30_000)).hexdigest()] * 2
    assert len(requests_to(plain_hub, "GET", "/models/alice%2Fslow/")) == 3


def test_listings_come_in_pages(plain_hub: RunningHub, model: Path) -> None:
    said = client(
        plain_hub,
        """
        api.create_repo("alice/long")
        api.upload_folder(repo_id="alice/long", folder_path=os.environ["FOLDER"])
        entries = api.list_repo_tree("alice/long", recursive=True, expand=True)
        print(json.dumps([[entry.path, entry.last_commit.title] for entry in entries]))
        """,
        FOLDER=model,
    )
    files = ["README.md", "figures", "figures/note.txt", "model.safetensors", "old.safetensors"]
    pushed = "Upload folder using huggingface_hub"
    assert said == [[".gitattributes", "initial commit"], *([file, pushed] for file in files)]
    assert len(requests_to(plain_hub, "GET", "/api/models/alice/long/tree/")) == 2


def test_the_object_store_takes_signed_requests_without_a_token(plain_hub: RunningHub) -> None:
    url = client(
        plain_hub,
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        api.create_repo("alice/signed")
        api.upload_file(path_or_fileobj=b"weights", path_in_repo="a.safetensors", repo_id="alice/signed")
        print(json.dumps(get_hf_file_metadata(hf_hub_url("alice/signed", "a.safetensors")).location))
        """,
    )
    with urlopen(url) as answer:
        assert answer.read() == b"weights"
    with urlopen(Request(url, headers={"Range": "bytes=2-4"})) as answer:
        assert (answer.status, answer.read()) == (206, b"igh")
    assert status_of(Request(url, headers={"Authorization": f"Bearer {plain_hub.token}"})) == 400
    assert status_of(Request(url.replace("sig=", "sig=0"))) == 403
    name = url.partition("?")[0].rpartition("/")[2]
    assert status_of(Request(url.replace(name, "0" * 64) + f"&oid={name}")) == 403
    assert status_of(Request(url, b"weights", method="PUT")) == 403


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"key": "file", "value": {"path": "README.md", "content": "LS0tCnRhZ3M6IDMKLS0tCg=="}}, "array of strings"),
        ({"key": "file", "value": {"path": "README.md", "content": "LS0tCjog4oC5OgotIHgKLS0t"}}, "YAML: "),
        ({"key": "file", "value": {"path": "../a", "content": ""}}, "Invalid path"),
        ({"key": "lfsFile", "value": {"path": "a.bin", "oid": "0" * 64, "size": 1}}, "does not exist"),
        ({"key": "deletedFolder", "value": {"path": "nowhere"}}, "doesn't exist"),
        ({"key": "renamed", "value": {"path": "a"}}, "Unknown operation"),
    ],
)
def test_a_commit_that_no_client_would_send(plain_hub: RunningHub, operation: object, message: str) -> None:
    client(plain_hub, 'api.create_repo("alice/raw", exist_ok=True)\nprint("null")')
    lines = [{"key": "header", "value": {"summary": "raw"}}, operation]
    headers = {"Authorization": f"Bearer {plain_hub.token}", "Content-Type": "application/x-ndjson"}
    body = "\n".join(json.dumps(line) for line in lines).encode()
    with pytest.raises(HTTPError, match=r"HTTP Error 40[04]") as refused:
        urlopen(Request(f"{plain_hub.url}/api/models/alice/raw/commit/main", body, headers))
    with refused.value as answer:
        assert message in json.load(answer)["error"]


def test_a_fault_that_does_not_exist_is_no_fault(plain_hub: RunningHub) -> None:
    for wrong in ({"status": "explode"}, {"times": 3}):
        body = json.dumps(wrong).encode()
        assert status_of(Request(f"{plain_hub.url}/_faults", body, {"Content-Type": "application/json"})) == 400
    assert plain_hub.faults_left() == []


def test_the_server_ends_with_whoever_started_it_and_goes_on_later(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.minihub", "--root", str(tmp_path), "--stop-at-eof"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline().startswith("MINIHUB http://127.0.0.1:")
        process.stdin.close()
        assert process.wait(10) is not None
    script = (
        'api.create_repo("alice/kept", exist_ok=True)\nprint(json.dumps(len(api.list_repo_commits("alice/kept"))))'
    )
    for _ in range(2):
        with start_hub(tmp_path) as hub:
            assert client(hub, script) == 1


def status_of(request: Request) -> int:
    """The status of a request that is refused."""
    with pytest.raises(HTTPError, match="HTTP Error 4") as refused:
        urlopen(request)
    with refused.value as answer:
        return answer.code
