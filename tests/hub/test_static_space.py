"""The static Space as the Hub has it: a site, its card, and nothing else of ours."""

import json
import re
from pathlib import Path

from demo.static_page.runtime import runtime_files
from demo.static_page.site import write_site
from tests.hub.conftest import ask, push, refused, run
from tests.minihub.fixture import RunningHub

STATE = """
import json
from huggingface_hub import HfApi, SpaceCard
api = HfApi()
card = SpaceCard.load("alice/static")
print(json.dumps({
    "private": api.space_info("alice/static").private,
    "files": sorted(set(api.list_repo_files("alice/static", repo_type="space")) - {".gitattributes"}),
    "titles": [commit.title for commit in api.list_repo_commits("alice/static", repo_type="space")],
    "card": card.data.to_dict(),
}))
"""


def test_the_site_is_pushed_in_one_commit_and_again_in_none(
    hub: RunningHub, model_folder: Path, tmp_path: Path
) -> None:
    # As the commands below, which have this machine's cache, too.
    runtime_files(None)
    words = (model_folder, "alice/shown-static", "--static-space", "alice/static", "--dataset", "alice/dances")
    push(hub, "train", *words)
    state = json.loads(ask(hub, STATE))
    assert state["private"]
    assert len(state["titles"]) == 2, "the Hub's own, and ours"
    card = state["card"]
    assert (card["sdk"], card["app_file"]) == ("static", "index.html")
    assert (card["models"], card["datasets"]) == (["alice/shown-static"], ["alice/dances"])
    assert "sdk_version" not in card
    write_site(str(model_folder), tmp_path / "site", None, None)
    written = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.*")}
    assert {path for path in state["files"] if not path.endswith("LICENSE")} == written | {"README.md"}
    assert "nothing to do" in push(hub, "train", *words)
    assert json.loads(ask(hub, STATE))["titles"] == state["titles"]

    # Another build: the former one leaves in the same commit, what others put there stays.
    upload = "from huggingface_hub import HfApi; HfApi().upload_file("
    upload += "path_or_fileobj=b'hers', path_in_repo='note.txt', repo_id='alice/static', repo_type='space')"
    ask(hub, upload)
    config = json.loads((model_folder / "config.json").read_text())
    config["classes"]["kathak"]["name"] = "Kathak, told anew"
    newer = tmp_path / "model"
    newer.mkdir()
    for path in model_folder.iterdir():
        if path.name != "config.json":
            (newer / path.name).symlink_to(path)
    (newer / "config.json").write_text(json.dumps(config))
    push(hub, "train", newer, *words[1:])
    files = json.loads(ask(hub, STATE))["files"]
    assert "note.txt" in files
    assert len({path.split("/")[0] for path in files if path.startswith("build-")}) == 1


def test_what_is_against_it_is_said_before_anything_is_sent(
    hub: RunningHub, model_folder: Path, tmp_path: Path
) -> None:
    line = refused(hub, "train", model_folder, "alice/twice", "--space", "alice/one", "--static-space", "alice/one")
    assert line == "error: --space and --static-space are both alice/one: a Space is one or the other"
    for path in model_folder.iterdir():
        if path.name != "model.onnx":
            (tmp_path / path.name).symlink_to(path)
    line = refused(hub, "train", tmp_path, "alice/twice", "--static-space", "alice/two")
    assert re.fullmatch(r"error: .* has no model.onnx, which a page without a server needs: .*", line)
    there = run(hub, "-c", "from huggingface_hub import HfApi; print(HfApi().repo_exists('alice/twice'))")
    assert there.stdout.strip() == "False"
