from pathlib import Path

import pytest

from hub.repo import RepoId, parse


def test_a_folder_that_exists_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "user" / "dances").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert parse("user/dances") == Path("user/dances")


@pytest.mark.parametrize(
    ("name", "repo"),
    [
        ("user/dances", RepoId("user/dances")),
        ("user/dances@v1.0", RepoId("user/dances", "v1.0")),
        ("user/dances@refs/pr/1", RepoId("user/dances", "refs/pr/1")),
    ],
)
def test_ids_with_and_without_revision(name: str, repo: RepoId) -> None:
    assert parse(name) == repo
    assert str(repo) == name


@pytest.mark.parametrize(
    "name", ["/no/where", "../x", "a/b/c", "photos", "user/dánces", "user/x@", "https://x.org/a", ""]
)
def test_names_that_are_neither(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert parse(name) is None
