"""What a repository has held stays to be seen in its history: before everybody sees it, and when a picture must go."""

import json
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_card.build import build
from dataset_card.curate.splits import SPLITS
from tests.dataset_card.conftest import splits_of
from tests.hub.conftest import ask, push, refused, state_of, with_licenses
from tests.minihub.fixture import RunningHub

TEST_SHARD = "data/test-00000-of-00001.parquet"


@pytest.fixture
def unlicensed(dataset_folder: Path, tmp_path: Path) -> Path:
    """A dataset folder of which five pictures have no known licence."""
    return with_licenses(dataset_folder, tmp_path / "unlicensed", ["unknown"] * 5)


def served(hub: RunningHub, repo_id: str, commits: list[str], path: str) -> list[bool]:
    """Tells of commits, by hash, whether anybody without a token can download a file of theirs."""
    code = f"""
import json
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
def is_served(commit):
    try:
        hf_hub_download({repo_id!r}, {path!r}, repo_type="dataset", revision=commit, token=False)
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError):
        return False
    return True
print(json.dumps([is_served(commit) for commit in {commits!r}]))
"""
    return json.loads(ask(hub, code, token=None))


class TestBeforeEverybodySees:
    @pytest.mark.parametrize("server", ["hub", "xet_hub"])
    def test_what_was_pushed_privately_does_not_turn_public(
        self, server: str, request: pytest.FixtureRequest, dataset_folder: Path, unlicensed: Path
    ) -> None:
        hub: RunningHub = request.getfixturevalue(server)
        push(hub, "dataset_card", unlicensed, "alice/past", "--tag", "v1")
        push(hub, "dataset_card", dataset_folder, "alice/past")
        before = state_of(hub, "alice/past")
        hub.clear_log()
        message = refused(hub, "dataset_card", dataset_folder, "alice/past", "--public")
        assert "everybody would see the history of alice/past: 5 pictures or files (5 x licence unknown: " in message
        spoiled = before["commits"][1][:8]
        assert f"in branch main (commits {spoiled}), tag v1 (commits {spoiled})" in message
        assert "add --squash to keep of every branch what it holds now and nothing before, or push to a new" in message
        assert state_of(hub, "alice/past") == before
        # Of the five shards of both commits, four are those of the folder.
        read = {entry["url"] for entry in hub.log() if "/resolve/" in entry["url"] and ".parquet" in entry["url"]}
        assert [url.split("/resolve/")[1][:8] for url in read] == [spoiled]

        words = ("dataset_card", dataset_folder, "alice/past", "--public", "--squash")
        message = refused(hub, *words)
        assert "tags of alice/past still hold what must go: v1: add --delete-tags to delete them" in message
        assert state_of(hub, "alice/past") == before
        line = push(hub, *words, "--delete-tags", "--tag", "v1")
        assert line.endswith("(public): history of main rewritten, tags deleted: v1, 1 stored files deleted for good")
        after = state_of(hub, "alice/past")
        assert (len(after["commits"]), after["refs"], after["private"]) == (1, before["refs"], False)
        assert after["files"] == before["files"]
        assert served(hub, "alice/past", [*before["commits"][:2], "v1"], TEST_SHARD) == [True, False, True]
        assert "nothing to do" in push(hub, *words, "--tag", "v1")
        assert "nothing to do" in push(hub, "dataset_card", dataset_folder, "alice/past")

    def test_a_public_repository_that_somebody_spoiled(
        self, hub: RunningHub, dataset_folder: Path, unlicensed: Path
    ) -> None:
        push(hub, "dataset_card", dataset_folder, "alice/spoiled", "--public")
        code = f"""
from huggingface_hub import HfApi
of = dict(repo_id="alice/spoiled", repo_type="dataset", path_in_repo="more/rows.parquet")
HfApi().upload_file(path_or_fileobj={str(unlicensed / TEST_SHARD)!r}, **of)
"""
        ask(hub, code)
        assert "5 x licence unknown" in refused(hub, "dataset_card", dataset_folder, "alice/spoiled")
        # Squashing keeps what is there now, and with it the files of others.
        message = refused(hub, "dataset_card", dataset_folder, "alice/spoiled", "--squash")
        assert "of others in alice/spoiled must not be published: delete these files there" in message

    @pytest.mark.parametrize(
        ("path", "why"),
        [("kathak/me.jpg", "a picture without a licence"), ("data/more.tar", "a file that tells no licences"),
         ("data/train-1.parquet", "a parquet file that can't be read")],
    )  # fmt: skip
    def test_what_tells_no_licences(self, hub: RunningHub, dataset_folder: Path, path: str, why: str) -> None:
        name = f"alice/{Path(path).stem}"
        code = f"""
from huggingface_hub import HfApi
of = dict(repo_id={name!r}, repo_type="dataset")
HfApi().create_repo(**of, private=True)
HfApi().upload_file(path_or_fileobj=b"0123456789", path_in_repo={path!r}, **of)
HfApi().delete_file(path_in_repo={path!r}, **of)
"""
        ask(hub, code)
        assert f"1 x {why}: {path}" in refused(hub, "dataset_card", dataset_folder, name, "--public")

    def test_of_a_large_shard_only_licences_are_fetched(
        self, hub: RunningHub, dataset_folder: Path, tmp_path: Path
    ) -> None:
        path, noise = tmp_path / "rows.parquet", random.Random(8)
        row = {"license": "unknown", "author": "A", "source_url": "https://example.org/1"}
        columns = pa.schema([("image", pa.binary()), *((name, pa.string()) for name in row)])
        with pq.ParquetWriter(path, columns, compression="none") as writer:
            for _ in range(20):
                writer.write_table(pa.Table.from_pylist([{"image": noise.randbytes(1 << 20), **row}], columns))
        code = f"""
from huggingface_hub import HfApi
of = dict(repo_id="alice/large", repo_type="dataset")
HfApi().create_repo(**of, private=True)
HfApi().upload_file(path_or_fileobj={str(path)!r}, path_in_repo="data/rows.parquet", **of)
"""
        ask(hub, code)
        hub.clear_log()
        message = refused(hub, "dataset_card", dataset_folder, "alice/large", "--public")
        assert "20 x licence unknown" in message
        fetched = [entry["bytes"] for entry in hub.log() if entry["port"] == "store"]
        assert 0 < sum(fetched) < path.stat().st_size / 10

    def test_other_branches_and_pull_requests(self, hub: RunningHub, dataset_folder: Path, unlicensed: Path) -> None:
        push(hub, "dataset_card", dataset_folder, "alice/branched")
        push(hub, "dataset_card", unlicensed, "alice/branched", "--revision", "next")
        words = ("dataset_card", dataset_folder, "alice/branched", "--public")
        assert "in branch next (commits " in refused(hub, *words)
        message = refused(hub, *words, "--squash")
        assert (
            "branch next of alice/branched holds what must go (5 pictures or files (5 x licence unknown: " in message
        )
        assert "delete the branch, or push there first with --revision next" in message
        push(hub, "dataset_card", dataset_folder, "alice/branched", "--revision", "next")
        code = f"""
from huggingface_hub import HfApi
of = dict(repo_id="alice/branched", repo_type="dataset", path_in_repo={TEST_SHARD!r}, create_pr=True)
HfApi().upload_file(path_or_fileobj={str(unlicensed / TEST_SHARD)!r}, **of)
"""
        ask(hub, code)
        message = refused(hub, *words, "--squash")
        assert "refs/pr/1 of alice/branched hold what must not be published and can't be rewritten" in message
        assert state_of(hub, "alice/branched")["private"]

    def test_a_private_history_may_be_rewritten_too(
        self, hub: RunningHub, dataset_folder: Path, unlicensed: Path
    ) -> None:
        push(hub, "dataset_card", unlicensed, "alice/quiet", "--tag", "v1")
        line = push(hub, "dataset_card", dataset_folder, "alice/quiet", "--squash")
        # Nobody but its owner sees the tag, which keeps what it has.
        assert line.endswith("(private): 1 files changed, history of main rewritten")
        assert state_of(hub, "alice/quiet")["refs"]["tags"] == ["v1"]

    def test_a_new_branch_does_not_begin_with_the_history_of_main(
        self, hub: RunningHub, dataset_folder: Path, unlicensed: Path
    ) -> None:
        push(hub, "dataset_card", unlicensed, "alice/fresh")
        push(hub, "dataset_card", dataset_folder, "alice/fresh")
        line = push(hub, "dataset_card", dataset_folder, "alice/fresh", "--revision", "next", "--squash", "--public")
        assert line.endswith("(public): history of main, next rewritten, 1 stored files deleted for good")

    def test_what_was_deleted_from_the_store_is_seen_by_nobody(
        self, hub: RunningHub, dataset_folder: Path, unlicensed: Path
    ) -> None:
        push(hub, "dataset_card", unlicensed, "alice/emptied")
        push(hub, "dataset_card", dataset_folder, "alice/emptied")
        code = f"""
import hashlib
from pathlib import Path
from huggingface_hub import HfApi
of = dict(repo_id="alice/emptied", repo_type="dataset")
sha256 = hashlib.sha256(Path({str(unlicensed / TEST_SHARD)!r}).read_bytes()).hexdigest()
stored = [file for file in HfApi().list_lfs_files(**of) if file.file_oid == sha256]
HfApi().permanently_delete_lfs_files(**of, lfs_files=stored, rewrite_history=False)
"""
        ask(hub, code)
        push(hub, "dataset_card", dataset_folder, "alice/emptied", "--public")


class TestTakedown:
    @pytest.fixture
    def without(self, photos: Path, dataset_folder: Path, tmp_path: Path) -> tuple[Path, str]:
        """The dataset built again without one picture of its training split, and the picture's sha256."""
        gone = min(sha256 for sha256, split in splits_of(dataset_folder).items() if split == SPLITS[0])
        again = shutil.copytree(photos, tmp_path / "photos")
        (again / "removed.csv").write_text(
            f"sha256,source_url,reason,date\n{gone},https://example.org/me,mine,2026-11-01\n"
        )
        build(again, tmp_path / "dances", seed=8, keep_splits=str(dataset_folder))
        assert gone not in splits_of(tmp_path / "dances")
        return tmp_path / "dances", gone

    def test_no_commit_and_no_tag_serves_it_any_more(
        self, hub: RunningHub, dataset_folder: Path, without: tuple[Path, str]
    ) -> None:
        folder, gone = without
        shard = "data/train-00000-of-00001.parquet"
        push(hub, "dataset_card", dataset_folder, "alice/taken", "--public", "--tag", "v1")
        commits = state_of(hub, "alice/taken")["commits"]
        words = ("dataset_card", folder, "alice/taken", "--takedown")
        message = refused(hub, *words)
        assert "tags of alice/taken still hold what must go: v1: add --delete-tags" in message
        line = push(hub, *words, "--delete-tags", "--tag", "v2")
        assert "history of main rewritten, tags deleted: v1, 3 stored files deleted for good" in line
        after = state_of(hub, "alice/taken")
        assert after["refs"] == {"branches": ["main"], "tags": ["v2"]}
        assert served(hub, "alice/taken", [commits[0], "main", "v2"], shard) == [False, True, True]
        code = """
from huggingface_hub import hf_hub_download
print(open(hf_hub_download("alice/taken", "removed.csv", repo_type="dataset")).read())
"""
        assert ask(hub, code, token=None).splitlines() == ["sha256,date", f"{gone},2026-11-01"]
        assert "nothing to do" in push(hub, *words, "--tag", "v2")

    def test_another_branch_holds_it(self, hub: RunningHub, dataset_folder: Path, without: tuple[Path, str]) -> None:
        push(hub, "dataset_card", dataset_folder, "alice/twice")
        push(hub, "dataset_card", dataset_folder, "alice/twice", "--revision", "old")
        message = refused(hub, "dataset_card", without[0], "alice/twice", "--takedown")
        assert (
            f"branch old of alice/twice holds what must go (1 pictures or files (1 x taken down: {without[1][:48]}"
            in message
        )

    def test_nothing_to_take_down(self, hub: RunningHub, dataset_folder: Path) -> None:
        message = refused(hub, "dataset_card", dataset_folder, "alice/nothing", "--takedown")
        assert "has no removed.csv that names a sha256: put the picture into PHOTOS/removed.csv" in message
