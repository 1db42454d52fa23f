import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_card.build import build
from tests.dataset_card.conftest import splits_of
from tests.hub.conftest import ask, push, refused, run
from tests.minihub.fixture import RunningHub

STATE = """
import json
from huggingface_hub import HfApi
api = HfApi()
repo = "REPO"
print(json.dumps({
    "private": api.repo_info(repo, repo_type="dataset").private,
    "files": sorted(set(api.list_repo_files(repo, repo_type="dataset")) - {".gitattributes"}),
    "titles": [commit.title for commit in api.list_repo_commits(repo, repo_type="dataset")],
    "refs": {
        "branches": [ref.name for ref in api.list_repo_refs(repo, repo_type="dataset").branches],
        "tags": [ref.name for ref in api.list_repo_refs(repo, repo_type="dataset").tags],
    },
}))
"""


def _state(hub: RunningHub, repo: str) -> dict:
    return json.loads(ask(hub, STATE.replace("REPO", repo)))


@pytest.mark.parametrize("server", ["hub", "xet_hub"])
def test_pushed_as_it_is_private_and_loaded_back(
    server: str, request: pytest.FixtureRequest, dataset_folder: Path
) -> None:
    hub: RunningHub = request.getfixturevalue(server)
    assert push(hub, "dataset_card", dataset_folder, "alice/dances").endswith("(private): 10 files changed")
    state = _state(hub, "alice/dances")
    assert state["private"]
    assert state["files"] == sorted(
        path.relative_to(dataset_folder).as_posix() for path in dataset_folder.rglob("*") if path.is_file()
    )
    assert state["titles"][0] == "64 pictures: train 48, validation 8, test 8 (10 files changed)"

    again = push(hub, "dataset_card", dataset_folder, "alice/dances")
    assert again.endswith("nothing to do, it is as it should be")
    assert _state(hub, "alice/dances")["titles"] == state["titles"]

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
    state = _state(hub, "alice/changing")
    assert [file for file in state["files"] if "train" in file] == ["data/train-00000-of-00001.parquet"]
    assert state["titles"][:2] == [
        "64 pictures: train 48, validation 8, test 8 (1 files changed, 2 removed)",
        "64 pictures: train 48, validation 8, test 8 (11 files changed)",
    ]


def test_metadata_and_files_of_others_are_kept(
    hub: RunningHub, dataset_folder: Path, photos: Path, tmp_path: Path
) -> None:
    push(hub, "dataset_card", dataset_folder, "alice/shared")
    code = """
from huggingface_hub import HfApi, metadata_update
metadata_update("alice/shared", {"extra_gated_prompt": "Be kind.", "language": ["sa"]}, repo_type="dataset")
HfApi().upload_file(path_or_fileobj=b"thanks", path_in_repo="THANKS.txt", repo_id="alice/shared", repo_type="dataset")
"""
    ask(hub, code)
    assert "nothing to do" in push(hub, "dataset_card", dataset_folder, "alice/shared")
    build(photos, tmp_path / "other", seed=9)
    push(hub, "dataset_card", tmp_path / "other", "alice/shared")
    code = """
from huggingface_hub import DatasetCard, HfApi
card = DatasetCard.load("alice/shared")
print(card.data.extra_gated_prompt, card.data.language, card.data.pretty_name, "with seed 9" in card.text)
print("THANKS.txt" in HfApi().list_repo_files("alice/shared", repo_type="dataset"))
"""
    assert ask(hub, code).splitlines() == ["Be kind. ['sa'] Other True", "True"]


def test_branch_tag_and_public(hub: RunningHub, dataset_folder: Path) -> None:
    push(hub, "dataset_card", dataset_folder, "alice/versions", "--public", "--tag", "v1")
    push(hub, "dataset_card", dataset_folder, "alice/versions", "--revision", "next")
    state = _state(hub, "alice/versions")
    assert not state["private"]
    assert state["refs"] == {"branches": ["main", "next"], "tags": ["v1"]}
    # A tag that is where it should be is no fault; one that would have to move is.
    push(hub, "dataset_card", dataset_folder, "alice/versions", "--tag", "v1")


def _unlicensed(dataset_folder: Path, folder: Path) -> Path:
    shutil.copytree(dataset_folder, folder)
    path = folder / "data" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    licenses = ["unknown", "cc-by-nd-4.0", *table["license"].to_pylist()[2:]]
    column = table.schema.get_field_index("license")
    pq.write_table(table.set_column(column, table.schema.field(column), pa.array(licenses)), path)
    return folder


def test_pictures_without_a_licence_never_become_public(hub: RunningHub, dataset_folder: Path, tmp_path: Path) -> None:
    folder = _unlicensed(dataset_folder, tmp_path / "unlicensed")
    message = refused(hub, "dataset_card", folder, "alice/unlicensed", "--public")
    assert "2 pictures of" in message
    assert "(1 x licence unknown, 1 x licence cc-by-nd-4.0; sha256 " in message
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
            ("a/b/c", "does not allow this name"),
        ],
    )
    def test_names_that_the_hub_refuses(self, hub: RunningHub, dataset_folder: Path, name: str, message: str) -> None:
        assert message in refused(hub, "dataset_card", dataset_folder, name)

    def test_a_repository_of_another_type(self, hub: RunningHub, dataset_folder: Path, pushed_model: str) -> None:
        message = refused(hub, "dataset_card", dataset_folder, pushed_model)
        assert f"{pushed_model} is a model on the Hub and this is a dataset: choose another name" in message

    def test_no_dataset_folder(self, hub: RunningHub, tmp_path: Path) -> None:
        assert "is no dataset folder: make one with" in refused(hub, "dataset_card", tmp_path, "alice/nothing")

    def test_a_tag_that_is_elsewhere(
        self, hub: RunningHub, dataset_folder: Path, photos: Path, tmp_path: Path
    ) -> None:
        push(hub, "dataset_card", dataset_folder, "alice/tagged", "--tag", "v1")
        build(photos, tmp_path / "other", seed=9)
        message = refused(hub, "dataset_card", tmp_path / "other", "alice/tagged", "--tag", "v1")
        assert "tag v1 is on another commit already" in message


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
