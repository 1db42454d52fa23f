"""The API below `/api/{models,datasets,spaces}/{owner}/{name}`: one repository, which the user may at least read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.minihub import discussions, lfs
from tests.minihub.answers import RefusedError, not_found, page_of
from tests.minihub.auth import User, check_may_contribute, check_may_write
from tests.minihub.commits import commit
from tests.minihub.repository import PULL_REQUEST, Repository
from tests.minihub.views import history_view, objects_view, path_view, refs_view, repository_view, runtime_view

if TYPE_CHECKING:
    from tests.minihub.server import Hub

EXPANDED_PAGE = 50
FOR_WRITERS = ("xet-write-token", "lfs-files")
FOR_PULL_REQUESTS = ("preupload", "commit", "xet-write-token")


@dataclass(frozen=True)
class Call:
    """A request about a repository; `route` is the method and the path's segments after the repository's name."""

    request: Request
    repository: Repository
    user: User | None
    route: Sequence[str]
    body: bytes
    payload: dict[str, Any]

    def flag(self, name: str) -> bool:
        return self.request.query_params.get(name, "").lower() in ("true", "1")

    def check_rights(self) -> None:
        """Everybody may read, anybody with a write token may contribute, the rest is the owner's."""
        match self.route:
            case ["POST", "paths-info", *_]:
                return
            case ["GET", what, *rest] if what not in FOR_WRITERS and rest[:1] != ["write"]:
                return
            case ["GET"]:
                return
            case ["POST", "discussions"]:
                contribution = True
            case [_, what, revision, *_] if what in FOR_PULL_REQUESTS:
                contribution = self.flag("create_pr") or revision.startswith(PULL_REQUEST)
            case _:
                contribution = False
        check = check_may_contribute if contribution else check_may_write
        check(self.user, self.repository.owner, f"write ({'/'.join(self.route[1:2])})")

    def writer(self) -> User:
        """The user, once the rights are checked."""
        assert self.user is not None
        return self.user


def answer_call(hub: "Hub", call: Call) -> Response:
    call.check_rights()
    repository = call.repository
    match call.route:
        case ["GET"]:
            return _info(call, "main")
        case ["GET", "revision", revision]:
            return _info(call, revision)
        case ["GET", "tree", revision, *path]:
            return _tree(hub, call, repository.resolve(revision), "/".join(path).strip("/"))
        case ["POST", "paths-info", revision]:
            return _paths_info(call, repository.resolve(revision))
        case ["GET", "auth-check", *_]:
            return JSONResponse({"ok": True})
        case ["GET", "runtime"] if repository.kind == "spaces":
            return JSONResponse(runtime_view(repository))
        case ["GET", "refs"]:
            return JSONResponse(refs_view(repository, call.flag("include_prs")))
        case ["GET", "commits", revision]:
            return page_of(call.request, history_view(repository, repository.resolve(revision)), hub.settings.page)
        case ["GET", "lfs-files"]:
            return page_of(call.request, objects_view(repository), hub.settings.page)
        case ["GET", "discussions"]:
            return discussions.discussion_page(call.request, repository)
        case ["GET", "discussions", number]:
            return discussions.discussion_details(repository, number)
        case ["POST", "discussions"]:
            return _open_discussion(call)
        case ["GET", "xet-write-token", *_] if hub.xet:
            return hub.xet.write_token(repository)
        case ["POST", "preupload", revision]:
            return lfs.upload_modes(repository, repository.resolve(revision), call.payload)
        case ["POST", "commit", revision]:
            return commit(call.request, repository, revision, call.writer(), call.body, hub.find_object)
        case [_, "secrets" | "variables" as what] if repository.kind == "spaces":
            return _space_settings(call, what)
    _change(call)
    repository.save()
    return JSONResponse({})


def _info(call: Call, revision: str) -> Response:
    commit_name = call.repository.resolve(revision)
    return JSONResponse(repository_view(call.repository, commit_name, bool(call.request.query_params.get("blobs"))))


def _tree(hub: "Hub", call: Call, commit_name: str, path: str) -> Response:
    under = f"{path}/" if path else ""
    files = [name for name in call.repository.files(commit_name) if name.startswith(under)]
    if path and not files:
        message = f'The path "{path}" does not exist in this revision'
        raise RefusedError(404, message, "EntryNotFound", {"X-Repo-Commit": commit_name})
    expand, recursive = call.flag("expand"), call.flag("recursive")
    names = set()
    for file in files:
        steps = file.removeprefix(under).split("/")
        names |= {under + "/".join(steps[: i + 1]) for i in range(len(steps) if recursive else 1)}
    size = min(hub.settings.page, EXPANDED_PAGE) if expand else hub.settings.page
    return page_of(
        call.request, sorted(names), size, lambda name: path_view(call.repository, commit_name, name, expand)
    )


def _paths_info(call: Call, commit_name: str) -> Response:
    # The clients send a form, others JSON.
    asked = call.payload or parse_qs(call.body.decode())
    expand = str(asked.get("expand", "")).strip("[]'").lower() == "true"
    views = [path_view(call.repository, commit_name, path.strip("/"), expand) for path in asked.get("paths", [])]
    return JSONResponse([view for view in views if view])


def _open_discussion(call: Call) -> Response:
    """Opens a discussion or a pull request without commits, which is a draft."""
    is_pull = bool(call.payload.get("pullRequest"))
    number = discussions.open_discussion(
        call.repository,
        call.writer(),
        call.payload["title"],
        call.payload.get("description", ""),
        base=call.repository.resolve("main") if is_pull else None,
        status="draft" if is_pull else "open",
    )
    return JSONResponse({"num": number, "pullRequest": is_pull})


def _space_settings(call: Call, what: str) -> Response:
    """The secrets and variables of a Space: listed, set or deleted."""
    settings, method = call.repository.state[what], call.route[0]
    if method != "GET":
        settings.pop(call.payload["key"], None)
    if method == "POST":
        settings[call.payload["key"]] = "***" if what == "secrets" else call.payload["value"]
    call.repository.save()
    return JSONResponse({key: {"key": key, "value": value} for key, value in settings.items()})


def _change(call: Call) -> None:
    """Visibility, branches and tags, history and stored objects."""
    state, repository = call.repository.state, call.repository
    match call.route:
        case ["PUT", "settings"]:
            visibility = call.payload.get("visibility", "private" if repository.private else "public")
            state["private"] = call.payload.get("private", visibility == "private")
        case [_, "branch", name] if name.startswith("refs/"):
            raise RefusedError(400, f"Invalid reference for a branch: {name}")
        case ["POST", "branch", name]:
            if name in state["branches"]:
                raise RefusedError(409, f"Reference already exists: {name}")
            state["branches"][name] = repository.resolve(call.payload.get("startingPoint", "main"))
        case ["POST", "tag", revision]:
            tag = call.payload["tag"]
            if tag in state["tags"]:
                raise RefusedError(409, f"Tag already exists: {tag}")
            state["tags"][tag] = repository.resolve(revision)
        case ["POST", "super-squash", name] if name not in state["branches"] and name in state["tags"]:
            raise RefusedError(400, f"Invalid reference for a branch: {name}")
        case ["POST", "super-squash", name] if name.startswith("refs/"):
            raise RefusedError(400, f"Invalid reference for a branch: {name}")
        case ["POST", "super-squash", name] if name not in state["branches"]:
            raise RefusedError(404, f"Invalid rev id: {name}", "RevisionNotFound")
        case ["POST", "super-squash", name]:
            repository.squash(name, call.payload["message"], call.writer().name)
        case ["POST", "lfs-files", "batch"]:
            deletions = call.payload["deletions"]
            repository.delete_objects(deletions["sha"], deletions["rewriteHistory"])
        case ["DELETE", "branch", "main"]:
            raise RefusedError(403, "Invalid branch: main")
        case ["DELETE", "branch" | "tag" as what, name]:
            if not state["branches" if what == "branch" else "tags"].pop(name, None):
                raise RefusedError(404, f"Invalid {what}: {name}", "RevisionNotFound")
        case _:
            raise not_found()
