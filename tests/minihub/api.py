"""The Hub's HTTP API: what is not about one repository, and the way to what is."""

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.minihub import lfs
from tests.minihub.answers import RefusedError, file_answer, not_found
from tests.minihub.auth import ANONYMOUS, User, check_may_contribute, check_may_write, signed_in
from tests.minihub.cards import SDKS, check_card
from tests.minihub.repository import KINDS, PULL_REQUEST, Repository, now
from tests.minihub.repository_api import Call, answer_call
from tests.minihub.views import repository_view

if TYPE_CHECKING:
    from tests.minihub.server import Hub

NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")


async def answer(hub: "Hub", request: Request, user: User | None) -> Response:
    """Answers a request. Routes are matched on the raw path: revisions and paths come with %2F in one segment."""
    body = await request.body() if request.method in ("POST", "PUT", "DELETE") else b""
    # A commit comes as application/x-ndjson, several documents.
    is_json = body and re.search(r"(?<!nd)json", request.headers.get("content-type", ""))
    payload = json.loads(body) if is_json else {}
    path = [unquote(segment) for segment in request.scope["raw_path"].decode().split("/")[1:]]
    match [request.method, *path]:
        case ["GET", "api", "whoami-v2"]:
            return JSONResponse(signed_in(user).whoami(now()))
        case ["GET", "api", "agent-harnesses"]:
            return JSONResponse({"standardEnvVars": [], "harnesses": {}})
        case ["POST", "api", "validate-yaml"]:
            return _validate_card(payload)
        case ["POST", "api", "repos", "create"]:
            return _create(hub, request, user, payload)
        case ["DELETE", "api", "repos", "delete"]:
            repository = visible(hub, *_target(user, payload), user)
            check_may_write(user, repository.owner, "delete a repo")
            repository.delete()
            return Response("OK")
        case ["POST", "api", "complete_multipart"]:
            return hub.store.complete(dict(request.query_params), payload)
        case ["GET", "api", kind] if kind in KINDS:
            return _list(hub, request, kind, user)
        case [method, "api", kind, owner, name, *rest] if kind in KINDS:
            repository = visible(hub, kind, f"{owner}/{name}", user)
            return answer_call(hub, Call(request, repository, user, [method, *rest], body, payload))
    kind = path.pop(0) if path[0] in ("datasets", "spaces") else "models"
    match [request.method, *path]:
        case ["POST", owner, git, "info", "lfs", "objects", "batch" | "verify" as what] if git.endswith(".git"):
            repository = visible(hub, kind, f"{owner}/{git.removesuffix('.git')}", user)
            return _lfs(hub, request, repository, user, what, payload)
        case ["GET" | "HEAD", owner, name, "resolve", revision, *file] if file:
            return _resolve(hub, request, visible(hub, kind, f"{owner}/{name}", user), revision, "/".join(file))
    raise not_found()


def visible(hub: "Hub", kind: str, repo_id: str, user: User | None) -> Repository:
    """A repository that a user may read. A private one looks to others just like a missing one."""
    repository = hub.repositories.open(kind, repo_id)
    if not repository.exists or (repository.private and not (user and user.owns(repository.owner))):
        raise RefusedError(404 if user else 401, "Repository not found" if user else ANONYMOUS, "RepoNotFound")
    return repository


def _validate_card(payload: dict[str, Any]) -> Response:
    errors, warnings = check_card(payload["content"], payload.get("repoType"))
    content = {"errors": [{"message": text} for text in errors], "warnings": [{"message": text} for text in warnings]}
    return JSONResponse(content, 400 if errors else 200)


def _target(user: User | None, payload: dict[str, Any]) -> tuple[str, str]:
    """The kind and the id of the repository that a payload for `repos/create` or `repos/delete` names."""
    kind = (payload.get("type") or "model") + "s"
    if kind not in KINDS:
        raise RefusedError(400, f"Invalid repo type: {payload.get('type')}")
    return kind, f"{payload.get('organization') or signed_in(user).name}/{payload['name']}"


def _create(hub: "Hub", request: Request, user: User | None, payload: dict[str, Any]) -> Response:
    user = signed_in(user)
    kind, repo_id = _target(user, payload)
    check_may_write(user, repo_id.split("/")[0], f"create a {KINDS[kind]}")
    if not NAME.fullmatch(payload["name"]):
        raise RefusedError(400, f"Invalid repo name: {payload['name']}")
    if kind == "spaces" and payload.get("sdk") not in SDKS:
        raise RefusedError(400, f'"sdk" must be one of {SDKS}')
    repository = hub.repositories.open(kind, repo_id)
    url = f"{request.base_url}{repository.web_path}"
    if repository.exists:
        return JSONResponse({"error": f"You already created this {KINDS[kind]} repo: {repo_id}", "url": url}, 409)
    repository.start(
        private=payload.get("private", payload.get("visibility") == "private"),
        sdk=payload.get("sdk"),
        hardware=payload.get("hardware"),
        secrets={secret["key"]: "***" for secret in payload.get("secrets") or []},
        variables={variable["key"]: variable["value"] for variable in payload.get("variables") or []},
    )
    files = {".gitattributes": hub.repositories.blobs.add(lfs.default_attributes(kind))}
    repository.add_commit("main", files, "initial commit", "", user.name)
    return JSONResponse({"url": url, "name": repo_id, "id": hashlib.sha1(repo_id.encode()).hexdigest()[:24]})


def _list(hub: "Hub", request: Request, kind: str, user: User | None) -> Response:
    author, search = request.query_params.get("author", ""), request.query_params.get("search", "")
    shown = [
        repository_view(repository, repository.resolve("main"))
        for repository in hub.repositories.all(kind)
        if repository.id.startswith(author)
        and search in repository.id
        and (not repository.private or (user and user.owns(repository.owner)))
    ]
    return JSONResponse(shown)


def _lfs(
    hub: "Hub", request: Request, repository: Repository, user: User | None, what: str, payload: dict[str, Any]
) -> Response:
    # Objects for a pull request come without a ref, and `verify` never has one: anybody who may contribute.
    ref = payload.get("ref", {}).get("name", PULL_REQUEST)
    check = check_may_contribute if ref.startswith(PULL_REQUEST) else check_may_write
    check(user, repository.owner, "write to a repo")
    if what == "verify":
        return lfs.verify(repository, payload)
    return lfs.batch(request, repository, hub.store, payload)


def _resolve(hub: "Hub", request: Request, repository: Repository, revision: str, path: str) -> Response:
    """A file: an LFS one by way of the object store."""
    commit = repository.resolve(revision)
    headers = {"X-Repo-Commit": commit}
    entry = repository.files(commit).get(path)
    if not entry:
        raise RefusedError(404, "Entry not found", "EntryNotFound", headers)
    if entry["lfs"] and entry["sha256"] not in repository.state["lfs"]:
        raise RefusedError(404, "Entry not found: its object was deleted", "EntryNotFound", headers)
    if entry["lfs"]:
        etag = f'"{entry["sha256"]}"'
        headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(entry["size"]), "ETag": etag}
        headers["Location"] = hub.store.download_url(repository, entry["sha256"])
        return Response("Found", 302, headers)
    name = quote(path.rsplit("/", 1)[-1])
    headers |= {"ETag": f'"{entry["oid"]}"', "Content-Disposition": f"inline; filename*=UTF-8''{name}"}
    return file_answer(request, repository.blobs.path(entry["sha256"]), headers)
