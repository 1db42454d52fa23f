import hashlib
import tracemalloc
from pathlib import Path

import pytest
from huggingface_hub.hf_api import RepoFile

from hub.errors import PublishError
from hub.publish import PushOptions, differs, merge_card, read_card


@pytest.mark.parametrize(
    "content",
    [b"---\nlicense: [\n---\n", b"---\nlicense: mit\nlicense\n---\n", b"---\n- a\n---\n", b"---\na: \xe9\n---\n"],
)
def test_a_card_that_cannot_be_read_is_one_line(content: bytes) -> None:
    with pytest.raises(
        PublishError, match=r"^the YAML block of README.md on the Hub can't be read \([^\n]*\): repair it"
    ):
        read_card(content, "README.md on the Hub")


@pytest.mark.parametrize(
    ("repo_type", "theirs", "kept"),
    [
        ("dataset", "configs: [{config_name: theirs}]\nlicense_name: theirs\nviewer: false", {"viewer": False}),
        ("dataset", "dataset_info: {features: []}\nextra_gated_prompt: please", {"extra_gated_prompt": "please"}),
        ("model", "model-index: [{name: theirs, results: []}]\nnew_version: a/b", {"new_version": "a/b"}),
        ("model", "base_model: theirs\nlicense_link: theirs\ninference: false", {"inference": False}),
        ("space", "python_version: '3.9'\nsdk_version: 3.0\nhf_oauth: true", {"hf_oauth": True}),
        # What both say is ours to say.
        ("model", "title: theirs\ntags: [theirs]", {}),
    ],
)
def test_of_a_card_on_the_hub_stays_what_a_push_does_not_say(
    repo_type: str, theirs: str, kept: dict[str, object]
) -> None:
    ours = b"---\ntitle: ours\nlicense: mit\n---\n# Ours\n"
    merged = read_card(merge_card(ours, f"---\n{theirs}\n---\n# Theirs\n".encode(), repo_type), "README.md")
    assert merged.data.to_dict() == {"title": "ours", "license": "mit"} | kept
    assert merged.text.strip() == "# Ours"


@pytest.mark.parametrize("in_lfs", [True, False])
def test_a_large_file_is_compared_in_pieces(tmp_path: Path, in_lfs: bool) -> None:
    size = 200 << 20
    path = tmp_path / "shard.parquet"
    with path.open("wb") as file:
        file.truncate(size)
    zeros = bytes(1 << 20)
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size)
    for _ in range(200):
        sha256.update(zeros)
        sha1.update(zeros)
    lfs = {"size": size, "oid": sha256.hexdigest(), "pointerSize": 134} if in_lfs else None
    remote = RepoFile(path="data/shard.parquet", size=size, oid=sha1.hexdigest(), lfs=lfs)
    tracemalloc.start()
    assert not differs(path, remote)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    with path.open("r+b") as file:
        file.write(b"1")
    assert differs(path, remote)


def test_tags_are_deleted_with_history_alone() -> None:
    with pytest.raises(PublishError, match="--delete-tags goes with --squash or --takedown: add one of them"):
        PushOptions(delete_tags=True)
