import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataset_card.build import build
from hub.publish import read_card
from tests.dataset_card.conftest import splits_of
from tests.hub.conftest import ask, push, refused, run, state_of, with_licenses
from tests.minihub.fixture import RunningHub


@pytest.mark.parametrize("server", ["hub", "xet_hub"])
def test_pushed_as_it_is_private_and_loaded_back(
    server: str, request: pytest.FixtureRequest, dataset_folder: Path
) -> None:
    hub: RunningHub = request.getfixturevalue(server)
    assert push(hub, "dataset_card", dataset_folder, "alice/dances").endswith("(private): 9 files changed")
    state = state_of(hub, "alice/dances")
    assert state["private"]
    assert state["files"] == sorted(
        path.relative_to(dataset_folder).as_posix()
        for path in dataset_folder.rglob("*")
        if path.is_file() and path.name != "rejected.csv"
    )
    assert state["titles"][0] == "64 pictures: train 48, validation 8, test 8 (9 files changed)"

    again = push(hub, "dataset_card", dataset_folder, "alice/dances")
    assert again.endswith("nothing to do, it is as it should be")
    assert state_of(hub, "alice/dances")["titles"] == state["titles"]

    code = """
from datasets import load_dataset
dances = load_dataset("alice/dances")
stream = load_dataset("alice/dances", split="test", streaming=True)
print({split: len(rows) for split, rows in dances.items()}, dances["test"].features["label"].names[0])
print(next(iter(stream))["image"].mode)
"""
    said = ask(hub, code).splitlines()
    assert said == ["{'train': 48, 'validation': 8, 'test': 8} bharatanatyam", "RGB"]


def test_a_changed_folder_is_one_commit_that_removes_what_is_stale(
    hub: RunningHub, photos: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    more = shutil.copytree(dataset_folder, tmp_path / "dances")
    # As if an earlier, larger build had given two shards of train.
    one = more / "data" / "train-00000-of-00001.parquet"
    table = pq.read_table(one)
    one.unlink()
    for number in range(2):
        part = table.slice(24 * number, 24)
        pq.write_table(part, more / "data" / f"train-{number:05d}-of-00002.parquet")
    push(hub, "dataset_card", more, "alice/changing")
    assert push(hub, "dataset_card", dataset_folder, "alice/changing").endswith("1 files changed, 2 removed")
    state = state_of(hub, "alice/changing")
    assert [file for file in state["files"] if "train" in file] == ["data/train-00000-of-00001.parquet"]
    assert state["titles"][:2] == [
        "64 pictures: train 48, validation 8, test 8 (1 files changed, 2 removed)",
        "64 pictures: train 48, validation 8, test 8 (10 files changed)",
    ]


def test_metadata_and_files_of_others_are_kept(
    hub: RunningHub, dataset_folder: Path, photos: Path, tmp_path: Path
) -> None:
    push(hub, "dataset_card", dataset_folder, "alice/shared")
    code = """
from huggingface_hub import HfApi, metadata_update
metadata_update("alice/shared", {"extra_gated_prompt": "Be kind."}, repo_type="dataset")
HfApi().upload_file(path_or_fileobj=b"thanks", path_in_repo="THANKS.txt", repo_id="alice/shared", repo_type="dataset")
"""
    ask(hub, code)
    assert "nothing to do" in push(hub, "dataset_card", dataset_folder, "alice/shared")
    build(photos, tmp_path / "other", seed=8)
    push(hub, "dataset_card", tmp_path / "other", "alice/shared")
    code = """
from huggingface_hub import DatasetCard, HfApi
card = DatasetCard.load("alice/shared")
print(card.data.extra_gated_prompt, card.data.pretty_name)
print("THANKS.txt" in HfApi().list_repo_files("alice/shared", repo_type="dataset"))
"""
    assert ask(hub, code).splitlines() == ["Be kind. Other", "True"]


def test_what_another_tool_said_of_its_own_data_does_not_survive(hub: RunningHub, dataset_folder: Path) -> None:
    code = """
import json
from datasets import Dataset
from huggingface_hub import HfApi, metadata_update
Dataset.from_dict({"text": ["a", "b"]}).push_to_hub("alice/before", private=True)
theirs = {"license": "other", "license_name": "theirs", "license_link": "THEIRS", "size_categories": ["n>1T"],
          "task_ids": ["sentiment-classification"], "viewer": False}
metadata_update("alice/before", theirs, repo_type="dataset", overwrite=True)
for path in ("dataset_infos.json", "data/train-00000-of-00001-0123456789abcdef.parquet"):
    HfApi().upload_file(path_or_fileobj=b"{}", path_in_repo=path, repo_id="alice/before", repo_type="dataset")
"""
    ask(hub, code)
    push(hub, "dataset_card", dataset_folder, "alice/before")
    code = """
import json
from datasets import load_dataset
from huggingface_hub import DatasetCard
print({split: len(rows) for split, rows in load_dataset("alice/before").items()})
print(json.dumps(DatasetCard.load("alice/before").data.to_dict()))
"""
    loaded, card = ask(hub, code).splitlines()
    assert loaded == "{'train': 48, 'validation': 8, 'test': 8}"
    metadata = json.loads(card)
    ours = read_card((dataset_folder / "README.md").read_bytes(), "README.md").data.to_dict()
    assert metadata == ours | {"viewer": False}
    assert state_of(hub, "alice/before")["files"] == sorted(
        path.relative_to(dataset_folder).as_posix()
        for path in dataset_folder.rglob("*")
        if path.is_file() and path.name != "rejected.csv"
    )


def test_names_of_local_files_never_leave(hub: RunningHub, dataset_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(dataset_folder, tmp_path / "dances")
    (folder / "rejected.csv").write_text("file,label\nkathak/Anna birthday 2019.jpg,kathak\n")
    push(hub, "dataset_card", folder, "alice/rejecting")
    # As an earlier version of this project left it.
    code = """
from huggingface_hub import HfApi
HfApi().upload_file(path_or_fileobj=b"file\\nAnna.jpg", path_in_repo="rejected.csv", repo_id="alice/rejecting",
                    repo_type="dataset")
"""
    ask(hub, code)
    assert push(hub, "dataset_card", folder, "alice/rejecting").endswith("0 files changed, 1 removed")
    assert "rejected.csv" not in state_of(hub, "alice/rejecting")["files"]
    message = refused(hub, "dataset_card", folder, "alice/rejecting", "--public")
    assert "1 x names of local files: rejected.csv" in message
    assert "add --squash" in message
    (folder / "rejected.csv").unlink()
    push(hub, "dataset_card", folder, "alice/rejecting", "--public", "--squash")
    assert len(state_of(hub, "alice/rejecting")["titles"]) == 1


def test_a_takedown_list_is_published_as_hashes(hub: RunningHub, dataset_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(dataset_folder, tmp_path / "dances")
    lines = [f"{'AB' * 32},https://example.org/me,I hide,2026-11-01", ",https://example.org/her,,2026-11-02"]
    (folder / "removed.csv").write_text("\n".join(["sha256,source_url,reason,date", *lines]))
    push(hub, "dataset_card", folder, "alice/hiding")
    code = """
from huggingface_hub import hf_hub_download
print(open(hf_hub_download("alice/hiding", "removed.csv", repo_type="dataset")).read())
"""
    assert ask(hub, code).splitlines() == ["sha256,date", f"{'ab' * 32},2026-11-01"]


def test_pictures_do_not_move_from_test_to_train_unseen(
    hub: RunningHub, dataset_folder: Path, photos: Path, tmp_path: Path
) -> None:
    push(hub, "dataset_card", dataset_folder, "alice/apart")
    build(photos, tmp_path / "elsewhere", seed=9)
    here, there = splits_of(dataset_folder), splits_of(tmp_path / "elsewhere")
    moved = sum(there[sha256] == "train" and split != "train" for sha256, split in here.items())
    message = refused(hub, "dataset_card", tmp_path / "elsewhere", "alice/apart")
    assert f"{moved} pictures that alice/apart has in validation or test would move to train" in message
    assert "build again with --keep-splits alice/apart" in message
    words = ("-m", "dataset_card", "build", photos, "--seed", "9", "--out", tmp_path / "kept")
    assert run(hub, *words, "--keep-splits", "alice/apart").returncode == 0
    push(hub, "dataset_card", tmp_path / "kept", "alice/apart")


def test_branch_tag_and_public(hub: RunningHub, dataset_folder: Path) -> None:
    push(hub, "dataset_card", dataset_folder, "alice/versions", "--public", "--tag", "v1")
    push(hub, "dataset_card", dataset_folder, "alice/versions", "--revision", "next")
    state = state_of(hub, "alice/versions")
    assert not state["private"]
    assert state["refs"] == {"branches": ["main", "next"], "tags": ["v1"]}
    # A tag that is where it should be is no fault; one that would have to move is.
    push(hub, "dataset_card", dataset_folder, "alice/versions", "--tag", "v1")


def test_pictures_without_a_licence_never_become_public(hub: RunningHub, dataset_folder: Path, tmp_path: Path) -> None:
    folder = with_licenses(dataset_folder, tmp_path / "unlicensed", ["unknown", "cc-by-nd-4.0", "cc-by-4.0"])
    message = refused(hub, "dataset_card", folder, "alice/unlicensed", "--public")
    assert "3 pictures or files (1 x licence unknown, 1 x licence cc-by-nd-4.0, 1 x cc-by-4.0 without an " in message
    push(hub, "dataset_card", folder, "alice/unlicensed")
    # A repository that is public already is no way round.
    push(hub, "dataset_card", dataset_folder, "alice/open", "--public")
    assert "must not be published" in refused(hub, "dataset_card", folder, "alice/open")


class TestMistakes:
    def test_tokens(self, hub: RunningHub, dataset_folder: Path) -> None:
        words = ("dataset_card", dataset_folder, "alice/nothing")
        assert "no token to push with: run `hf auth login`" in refused(hub, *words, token=None)
        assert "does not accept the token" in refused(hub, *words, token="hf_nobody")
        assert "this token may only read" in refused(hub, *words, token=hub.read_token)
        assert "the token may not do this" in refused(hub, *words, token=hub.other_token)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("alice/x..y", "does not allow this name (Cannot have -- or .."),
            ("alice/a b", "does not allow this name"),
            ("a/b/c", "'a/b/c' names no repository: give user/name"),
            ("alice", "'alice' names no repository: give user/name or organisation/name, such as alice/dances"),
            ("alice/x@v1", "'alice/x@v1' names a revision: give alice/x and --revision BRANCH"),
        ],
    )
    def test_names_that_the_hub_refuses(self, hub: RunningHub, dataset_folder: Path, name: str, message: str) -> None:
        assert message in refused(hub, "dataset_card", dataset_folder, name)

    def test_a_repository_of_another_type(self, hub: RunningHub, dataset_folder: Path, pushed_model: str) -> None:
        message = refused(hub, "dataset_card", dataset_folder, pushed_model)
        assert f"{pushed_model} is a model on the Hub and this is a dataset: choose another name" in message

    def test_no_dataset_folder(self, hub: RunningHub, tmp_path: Path) -> None:
        assert "is no dataset folder: make one with" in refused(hub, "dataset_card", tmp_path, "alice/nothing")

    def test_a_tag_that_is_elsewhere(self, hub: RunningHub, dataset_folder: Path, tmp_path: Path) -> None:
        push(hub, "dataset_card", dataset_folder, "alice/tagged", "--tag", "v1")
        before = state_of(hub, "alice/tagged")
        other = shutil.copytree(dataset_folder, tmp_path / "other")
        (other / "figures" / "more.txt").write_text("more")
        message = refused(hub, "dataset_card", other, "alice/tagged", "--tag", "v1", "--public")
        assert "tag v1 is on another commit already" in message
        assert state_of(hub, "alice/tagged") == before

    def test_a_card_edited_by_hand(self, hub: RunningHub, dataset_folder: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(dataset_folder, tmp_path / "dances")
        card = (folder / "README.md").read_text()
        (folder / "README.md").write_text(card.replace("pretty_name:", "pretty_name: ["))
        message = refused(hub, "dataset_card", folder, "alice/broken")
        assert "the YAML block of README.md can't be read (" in message


def test_the_hub_may_ask_to_wait_in_any_of_its_ways(hub: RunningHub, dataset_folder: Path) -> None:
    faults = [{"status": 429, "match": "commit/main"}, {"status": 503, "match": "settings"}]
    hub.faults(faults)
    push(hub, "dataset_card", dataset_folder, "alice/patient", "--public")
    assert hub.faults_left() == []
    hour = {"RateLimit": '"api";r=0;t=3600', "RateLimit-Policy": '"fixed window";"api";q=500;w=3600'}
    hub.faults([{"status": 429, "match": "GET .*/refs", "headers": hour}])
    message = refused(hub, "dataset_card", dataset_folder, "alice/patient")
    assert "the Hub asks to slow down: wait 3600 s, then run the same command again" in message


def test_a_dataset_on_the_hub_keeps_its_splits_in_a_new_build(
    hub: RunningHub, dataset_folder: Path, photos: Path, tmp_path: Path
) -> None:
    push(hub, "dataset_card", dataset_folder, "alice/leading", "--tag", "v1")
    words = ("-m", "dataset_card", "build", photos, "--seed", "5", "--out")
    assert run(hub, *words, tmp_path / "free").returncode == 0
    answer = run(hub, *words, tmp_path / "led", "--keep-splits", "alice/leading@v1")
    assert answer.returncode == 0, answer.stderr
    assert splits_of(tmp_path / "led") == splits_of(dataset_folder) != splits_of(tmp_path / "free")
    answer = run(hub, *words, tmp_path / "lost", "--keep-splits", "alice/nowhere")
    assert answer.returncode == 2
    last = answer.stderr.splitlines()[-1]
    assert last.startswith("error: reading alice/nowhere: there is no such repository")
