"""A commit over HTTP: a header line and one line for each file that is added or deleted."""

import base64
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.minihub.answers import RefusedError
from tests.minihub.auth import User
from tests.minihub.cards import check_card
from tests.minihub.discussions import check_may_push, open_discussion
from tests.minihub.lfs import LARGEST_REGULAR
from tests.minihub.repository import KINDS, PULL_REQUEST, Entry, Repository, lfs_entry

Files = dict[str, Entry]
FindObject = Callable[[Repository, str], int | None]


def commit(
    request: Request, repository: Repository, revision: str, user: User, body: bytes, find_object: FindObject
) -> Response:
    """Adds a commit to a branch, to a pull request or, asked to `create_pr`, to a new pull request.

    Args:
        request: The request, for its query and the server's address.
        repository: The repository to change.
        revision: A branch or `refs/pr/{number}`.
        user: Who commits.
        body: The lines.
        find_object: Gives the size of an LFS object that was uploaded for a repository, or `None`.
    """
    operations = [json.loads(line) for line in body.splitlines() if line.strip()]
    header = operations[0]["value"]
    if operations[0]["key"] != "header" or not header.get("summary"):
        raise RefusedError(400, "A commit needs a header with a summary")
    create_pr = bool(request.query_params.get("create_pr"))
    if create_pr and revision != "main":
        raise RefusedError(400, f"A pull request is opened against main, not {revision}")
    if revision.startswith(PULL_REQUEST):
        check_may_push(repository, user, revision)
    head = repository.state["branches"].get(revision)
    if not head:
        raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    parent = header.get("parentCommit")
    if create_pr and parent:
        head = repository.resolve(parent)
    elif parent not in (None, head):
        raise RefusedError(412, f"A commit has happened since. Please refresh and try again. (head: {head})")

    files = dict(repository.files(head))
    for operation in operations[1:]:
        files = _apply(repository, files, operation["key"], operation["value"], find_object)
    answer = {"success": True, "hookOutput": ""}
    address = f"{request.base_url}{repository.web_path}"
    title, message = header["summary"], header.get("description", "")
    if create_pr:
        number = open_discussion(repository, user, title, message, base=head)
        revision = f"{PULL_REQUEST}{number}"
        answer["pullRequestUrl"] = f"{address}/discussions/{number}"
    name = repository.add_commit(revision, files, title, message, user.name)
    return JSONResponse(answer | {"commitOid": name, "commitUrl": f"{address}/commit/{name}"})


def _apply(repository: Repository, files: Files, key: str, value: dict[str, Any], find_object: FindObject) -> Files:
    path = value["path"].strip("/")
    if any(part in ("", ".", "..", ".git") for part in path.split("/")):
        raise RefusedError(400, f"Invalid path: {value['path']}")
    match key:
        case "file":
            return files | {path: _regular(repository, path, value["content"])}
        case "lfsFile":
            size = find_object(repository, value["oid"])
            if size is None or value.get("size", size) != size:
                raise RefusedError(400, f"LFS pointer of {path} points to a file that does not exist: {value['oid']}")
            return files | {path: lfs_entry(value["oid"], size)}
        case "deletedFile":
            kept = {name: entry for name, entry in files.items() if name != path}
        case "deletedFolder":
            kept = {name: entry for name, entry in files.items() if not name.startswith(f"{path}/")}
        case _:
            raise RefusedError(400, f"Unknown operation: {key}")
    if len(kept) == len(files):
        raise RefusedError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
    return kept


def _regular(repository: Repository, path: str, content: str) -> Entry:
    data = base64.b64decode(content, validate=True)
    if len(data) > LARGEST_REGULAR:
        raise RefusedError(400, f"{path}: files larger than 10 MiB must be uploaded as LFS")
    if path == "README.md":
        errors, _ = check_card(data.decode("utf-8", "replace"), KINDS[repository.kind])
        if errors:
            raise RefusedError(400, "; ".join(errors))
    return repository.blobs.add(data)
