"""What the API shows of a repository: its card and files, one file or folder, its refs and its history."""

import hashlib
import json
from typing import Any

from tests.minihub.cards import metadata_of
from tests.minihub.repository import PULL_REQUEST, Entry, Repository, pointer

View = dict[str, Any]


def repository_view(repository: Repository, commit: str, blobs: bool = False) -> View:
    """The answer to `model_info`, `dataset_info` and `space_info`; `blobs` adds the files' sizes and hashes."""
    card, _ = metadata_of(repository.text(commit, "README.md"))
    tags = [tag for tag in card.get("tags") or [] if isinstance(tag, str)]
    view: View = {
        "id": repository.id,
        "author": repository.owner,
        "sha": commit,
        "lastModified": repository.commit(commit)["date"],
        "createdAt": repository.state["created"],
        "cardData": card,
        "private": repository.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "siblings": [_sibling(path, entry, blobs) for path, entry in sorted(repository.files(commit).items())],
    }
    if repository.kind == "models":
        known = {key: card[key] for key in ("library_name", "pipeline_tag") if card.get(key)}
        view |= known
        tags += known.values()
    if repository.kind == "spaces":
        view |= {"sdk": card.get("sdk") or repository.state["sdk"], "runtime": runtime_view(repository)}
    if card.get("license"):
        tags.append(f"license:{card['license']}")
    return view | {"tags": tags}


def _sibling(path: str, entry: Entry, blobs: bool) -> View:
    view: View = {"rfilename": path}
    if blobs:
        view |= {"size": entry["size"], "blobId": entry["oid"]}
        if entry["lfs"]:
            view["lfs"] = {"sha256": entry["sha256"], "size": entry["size"], "pointerSize": len(pointer(entry))}
    return view


def runtime_view(repository: Repository) -> View:
    """The state of a Space. None is ever built here."""
    stage = "BUILDING" if "app.py" in repository.files(repository.resolve("main")) else "NO_APP_FILE"
    hardware = {"current": None, "requested": repository.state["hardware"] or "cpu-basic"}
    return {"stage": stage, "hardware": hardware, "storage": None}


def path_view(repository: Repository, commit: str, path: str, expand: bool = False) -> View | None:
    """A file or a folder, or `None` where there is neither; `expand` adds the commit that changed it last."""
    files = repository.files(commit)
    view: View
    if entry := files.get(path):
        view = {"path": path, "type": "file", "size": entry["size"], "oid": entry["oid"]}
        if entry["lfs"]:
            view["lfs"] = {"oid": entry["sha256"], "size": entry["size"], "pointerSize": len(pointer(entry))}
    elif below := sorted((name, file["oid"]) for name, file in files.items() if name.startswith(f"{path}/")):
        oid = hashlib.sha1(json.dumps(below).encode()).hexdigest()
        view = {"path": path, "type": "directory", "size": 0, "oid": oid}
    else:
        return None
    if expand:
        view["lastCommit"] = _last_commit(repository, commit, path)
    return view


def _last_commit(repository: Repository, commit: str, path: str) -> View | None:
    """The newest commit that touched a file or a folder."""
    history = list(repository.history(commit))
    older_files = [_part(older["files"], path) for _, older in history[1:]] + [{}]
    for (name, found), older in zip(history, older_files, strict=True):
        if _part(found["files"], path) != older:
            return {"id": name, "title": found["title"], "date": found["date"]}
    return None


def _part(files: dict[str, Entry], path: str) -> dict[str, Entry]:
    return {name: entry for name, entry in files.items() if name == path or name.startswith(f"{path}/")}


def refs_view(repository: Repository, pull_requests: bool = False) -> View:
    """Branches and tags, and the heads of pull requests if asked for."""
    branches, tags = repository.state["branches"], repository.state["tags"]
    pulls = {name: commit for name, commit in branches.items() if name.startswith(PULL_REQUEST)}
    heads = {name: commit for name, commit in branches.items() if name not in pulls}
    view = {"branches": _refs(heads, "refs/heads/"), "tags": _refs(tags, "refs/tags/"), "converts": []}
    return view | ({"pullRequests": _refs(pulls, "")} if pull_requests else {})


def _refs(refs: dict[str, str], prefix: str) -> list[View]:
    return [
        {"name": name, "ref": name if name.startswith("refs/") else prefix + name, "targetCommit": commit}
        for name, commit in refs.items()
    ]


def history_view(repository: Repository, commit: str) -> list[View]:
    return [
        {
            "id": name,
            "title": found["title"],
            "message": found["message"],
            "date": found["date"],
            "authors": [{"user": found["author"]}],
        }
        for name, found in repository.history(commit)
    ]


def objects_view(repository: Repository) -> list[View]:
    """The LFS objects of a repository, each with one of the names it has, or had."""
    names = {
        entry["sha256"]: path
        for commit in repository.state["commits"].values()
        for path, entry in commit["files"].items()
        if entry["lfs"]
    }
    return [
        {
            "fileOid": oid,
            "filename": names.get(oid, ""),
            "oid": hashlib.sha1(oid.encode()).hexdigest()[:24],
            "pushedAt": repository.state["created"],
            "ref": "main",
            "size": size,
        }
        for oid, size in repository.state["lfs"].items()
    ]
