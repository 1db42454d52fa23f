"""Discussions and pull requests; a pull request's commits are on `refs/pr/{number}`."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.minihub.answers import RefusedError
from tests.minihub.auth import User
from tests.minihub.repository import KINDS, PULL_REQUEST, Discussion, Repository, now

PER_PAGE = 10


def open_discussion(
    repository: Repository, user: User, title: str, description: str, base: str | None = None, status: str = "open"
) -> int:
    """Opens a discussion, or with the commit `base` a pull request that starts there; returns its number."""
    if len(title.strip()) < 3:
        raise RefusedError(400, "The title of a discussion needs 3 characters or more")
    number = len(repository.state["discussions"]) + 1
    repository.state["discussions"][str(number)] = Discussion(
        title=title.strip(),
        description=description,
        author=user.name,
        date=now(),
        status=status,
        pull_request=base is not None,
    )
    if base:
        repository.state["branches"][f"{PULL_REQUEST}{number}"] = base
    repository.save()
    return number


def check_may_push(repository: Repository, user: User, revision: str) -> None:
    """The author of a pull request and the owners of the repository may add commits to it."""
    if revision not in repository.state["branches"]:
        raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    discussion = _find(repository, revision.removeprefix(PULL_REQUEST))
    if user.name != discussion["author"] and not user.owns(repository.owner):
        raise RefusedError(403, "You don't have the rights to push to this pull request")


def discussion_page(request: Request, repository: Repository) -> Response:
    """One page of the listing, newest first, by `type`, `status` and `author`."""
    asked = request.query_params
    kinds = {"pull_request": [True], "discussion": [False]}.get(asked.get("type", "all"), [True, False])
    open_states = ["open", "draft"]
    states = {"open": open_states, "closed": ["closed", "merged"]}.get(asked.get("status", "all"))
    found = [
        (number, discussion)
        for number, discussion in reversed(repository.state["discussions"].items())
        if discussion["pull_request"] in kinds
        and (states is None or discussion["status"] in states)
        and discussion["author"] == asked.get("author", discussion["author"])
    ]
    start = int(asked.get("p", 0)) * PER_PAGE
    shown = [_view(repository, number, discussion) for number, discussion in found[start : start + PER_PAGE]]
    return JSONResponse({"discussions": shown, "count": len(found), "start": start})


def discussion_details(repository: Repository, number: str) -> Response:
    """A discussion with its events: what was said first, then the pull request's commits."""
    discussion = _find(repository, number)
    comment = {
        "edited": False,
        "hidden": False,
        "latest": {"raw": discussion["description"], "html": "", "updatedAt": discussion["date"]},
        "history": [],
    }
    events = [_event("comment", number, discussion["author"], discussion["date"], comment)]
    view = _view(repository, number, discussion)
    if discussion["pull_request"]:
        on_main = {name for name, _ in repository.history(repository.resolve("main"))}
        own = [
            (name, commit)
            for name, commit in repository.history(repository.resolve(PULL_REQUEST + number))
            if name not in on_main
        ]
        events += [
            _event("commit", name, commit["author"], commit["date"], {"subject": commit["title"], "oid": name})
            for name, commit in reversed(own)
        ]
        view |= {"changes": {"base": "refs/heads/main"}, "filesWithConflicts": []}
    return JSONResponse(view | {"events": events})


def _find(repository: Repository, number: str) -> Discussion:
    if number not in repository.state["discussions"]:
        raise RefusedError(404, f"There is no discussion {number}")
    return repository.state["discussions"][number]


def _view(repository: Repository, number: str, discussion: Discussion) -> dict[str, Any]:
    return {
        "num": int(number),
        "title": discussion["title"],
        "author": {"name": discussion["author"]},
        "createdAt": discussion["date"],
        "status": discussion["status"],
        "isPullRequest": discussion["pull_request"],
        "repo": {"name": repository.id, "type": KINDS[repository.kind]},
    }


def _event(kind: str, name: str, author: str, date: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "type": kind, "author": {"name": author}, "createdAt": date, "data": data}
