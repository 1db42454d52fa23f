"""Repositories: commits, branches, tags and pull requests, each repository kept in one JSON file."""

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

from tests.minihub.answers import RefusedError

KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
LARGEST_CARD = 5 << 20
PULL_REQUEST = "refs/pr/"


class Entry(TypedDict):
    """A file in a commit; `oid` is what git would call it (for LFS: of the pointer)."""

    size: int
    sha256: str
    oid: str
    lfs: bool


class Commit(TypedDict):
    """A commit; `files` are all files of the tree, not only the changed ones."""

    parent: str | None
    files: dict[str, Entry]
    title: str
    message: str
    author: str
    date: str


class Discussion(TypedDict):
    """A discussion, or a pull request whose commits are on `refs/pr/{number}`."""

    title: str
    description: str
    author: str
    date: str
    status: str
    pull_request: bool


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def lfs_entry(sha256: str, size: int) -> Entry:
    entry = Entry(size=size, sha256=sha256, oid="", lfs=True)
    entry["oid"] = git_oid(pointer(entry))
    return entry


def pointer(entry: Entry) -> bytes:
    """What git keeps of an LFS file."""
    lines = [
        "version https://git-lfs.github.com/spec/v1",
        f"oid sha256:{entry['sha256']}",
        f"size {entry['size']}",
        "",
    ]
    return "\n".join(lines).encode()


class Blobs:
    """The bytes of all files, by their sha256."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "blobs"
        self.unfinished = root / "tmp"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.unfinished.mkdir(exist_ok=True)

    def path(self, sha256: str) -> Path:
        return self.folder / sha256

    def new_file(self) -> Path:
        """Where to write bytes that are not whole yet."""
        return self.unfinished / secrets.token_hex(8)

    def add(self, data: bytes) -> Entry:
        """Keeps a file that is small enough to be none of LFS."""
        sha256 = hashlib.sha256(data).hexdigest()
        file = self.new_file()
        file.write_bytes(data)
        file.replace(self.path(sha256))
        return Entry(size=len(data), sha256=sha256, oid=git_oid(data), lfs=False)


class Repository:
    """One repository.

    Args:
        folder: Where its `repo.json` is or will be.
        kind: `models`, `datasets` or `spaces`.
        repo_id: `owner/name`.
        blobs: Where the bytes of its files are.
    """

    def __init__(self, folder: Path, kind: str, repo_id: str, blobs: Blobs) -> None:
        self.path = folder / "repo.json"
        self.kind = kind
        self.id = repo_id
        self.owner = repo_id.split("/")[0]
        self.blobs = blobs
        self.exists = self.path.exists()
        self.state: dict[str, Any] = json.loads(self.path.read_text()) if self.exists else {}

    def start(self, **settings: object) -> None:
        """A new repository's state: its settings, and no commit yet."""
        empty: dict[str, Any] = {key: {} for key in ("branches", "tags", "commits", "lfs", "discussions")}
        self.state = empty | {"created": now()} | settings

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(self.state))
        unfinished.replace(self.path)

    def delete(self) -> None:
        self.path.unlink()

    @property
    def private(self) -> bool:
        return self.state["private"]

    @property
    def web_path(self) -> str:
        return self.id if self.kind == "models" else f"{self.kind}/{self.id}"

    def resolve(self, revision: str) -> str:
        """The commit that a branch, a tag, a pull request or the start of a commit's hash stands for."""
        commit = self.state["branches"].get(revision) or self.state["tags"].get(revision)
        if not commit and re.fullmatch(r"[0-9a-f]{7,40}", revision):
            commit = next((known for known in self.state["commits"] if known.startswith(revision)), None)
        if not commit:
            raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def commit(self, commit: str) -> Commit:
        return self.state["commits"][commit]

    def files(self, commit: str) -> dict[str, Entry]:
        return self.state["commits"][commit]["files"]

    def text(self, commit: str, path: str) -> str:
        """A text file, or "" where there is none."""
        entry = self.files(commit).get(path)
        if not entry or entry["size"] > LARGEST_CARD:
            return ""
        return self.blobs.path(entry["sha256"]).read_text("utf-8", "replace")

    def add_commit(self, branch: str, files: dict[str, Entry], title: str, message: str, author: str) -> str:
        parent = self.state["branches"].get(branch)
        commit = Commit(parent=parent, files=files, title=title, message=message, author=author, date=now())
        name = hashlib.sha1(json.dumps([commit, secrets.token_hex(8)]).encode()).hexdigest()
        self.state["commits"][name] = commit
        self.state["branches"][branch] = name
        self.save()
        return name

    def squash(self, branch: str, title: str, author: str) -> None:
        """Makes the head's files the only commit of a branch. Those before it still answer to their hashes."""
        files = self.files(self.state["branches"].pop(branch))
        self.add_commit(branch, files, title, "", author)

    def delete_objects(self, oids: list[str], rewrite_history: bool) -> None:
        """Deletes LFS objects for good and, asked to, the files of all commits that refer to them."""
        for oid in oids:
            self.state["lfs"].pop(oid, None)
        if rewrite_history:
            for commit in self.state["commits"].values():
                kept = {path: entry for path, entry in commit["files"].items() if entry["sha256"] not in oids}
                commit["files"] = kept
        self.save()

    def history(self, commit: str | None) -> Iterator[tuple[str, Commit]]:
        """A commit and those before it, newest first."""
        while commit:
            found = self.commit(commit)
            yield commit, found
            commit = found["parent"]


class Repositories:
    """All repositories below a folder."""

    def __init__(self, root: Path, blobs: Blobs) -> None:
        self.folder = root / "repos"
        self.blobs = blobs

    def open(self, kind: str, repo_id: str) -> Repository:
        """A repository, whether it exists or not."""
        return Repository(self.folder / kind / repo_id.replace("/", "--"), kind, repo_id, self.blobs)

    def all(self, kind: str) -> list[Repository]:
        names = (file.parent.name.replace("--", "/", 1) for file in sorted((self.folder / kind).glob("*/repo.json")))
        return [self.open(kind, name) for name in names]
