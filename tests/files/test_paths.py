import os
from collections.abc import Callable
from pathlib import Path

import pytest

from files.errors import UserError
from files.paths import check_no_glob, expand_home, home_folder


def test_the_home_folder_of_a_word_and_of_its_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for word, expected in {
        "~": f"{tmp_path}",
        "~/dances": f"{tmp_path}/dances",
        "dataset=~/dances": f"dataset={tmp_path}/dances",
        "--out=~/dances [v2]": f"--out={tmp_path}/dances [v2]",
        "--out=~": f"--out={tmp_path}",
        "~other/dances": "~other/dances",
        "dances~/x": "dances~/x",
        "a=b": "a=b",
        "": "",
    }.items():
        assert expand_home(word) == expected


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def no_entry(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    with pytest.raises(UserError, match="no home folder: set the environment variable HOME"):
        home_folder()
    with pytest.raises(UserError, match="HOME"):
        expand_home("dataset=~/dances")


@pytest.mark.parametrize(("name", "found"), [("x [v2]", r"\["), ("x*", r"\*"), ("what?", r"\?"), ("a::b", "::")])
def test_a_dataset_folder_has_no_pattern_in_its_path(
    tmp_path: Path, name: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name / "dances"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder.parent)
    for path in (folder, Path("dances"), tmp_path / "link"):
        with pytest.raises(UserError, match=rf"has {found} in its path, which `datasets` takes for a pattern"):
            check_no_glob(path)


def test_other_characters_are_fine(tmp_path: Path) -> None:
    for name in ("a ]b", "{a,b}", "(1)", "नृत्य", "a:b", "#", "%20", "~x", os.sep):
        check_no_glob(tmp_path / name)


def test_commands_know_the_home_folder(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(tmp_path / "none") in refused("dataset_card", "build", "~/none", "--out=~/dances")
    words = ("recipes/debug.yaml", "dataset=~/none", "output_dir=~/run")
    assert f"{tmp_path}/none is neither a folder nor a Hub id" in refused("train", "fit", *words)
