"""Pushing a folder: one commit with what differs, or none."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoCard, get_token
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from hub.errors import HubError, one_line_errors

_ATTEMPTS = 5
_LONGEST_WAIT = 60.0
_TYPES = ("model", "dataset", "space")

T = TypeVar("T")


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        url: The repository's page.
        changed: Files added or changed, relative to the repository.
        removed: Stale files taken away in the same commit.
        public: Whether everybody can see it now.
    """

    url: str
    changed: list[str]
    removed: list[str]
    public: bool

    def __str__(self) -> str:
        """Returns the line that a push ends with."""
        seen = "public" if self.public else "private"
        if not self.changed and not self.removed:
            return f"{self.url} ({seen}): nothing to do, it is as it should be"
        gone = f", {len(self.removed)} removed" if self.removed else ""
        return f"{self.url} ({seen}): {len(self.changed)} files changed{gone}"


def push(
    repo_id: str,
    repo_type: str,
    files: Mapping[str, Path | bytes],
    is_ours: Callable[[str], bool],
    message: str,
    *,
    public: bool = False,
    check_public: Callable[[], None] = lambda: None,
    revision: str | None = None,
    tag: str | None = None,
    space_sdk: str | None = None,
) -> Pushed:
    """Makes a repository hold `files`, by one commit with what differs or by none.

    A new repository is private until the commit is there, so that nobody sees a half of it.

    Args:
        repo_id: Such as "user/dances".
        repo_type: "model", "dataset" or "space".
        files: What the repository shall hold: content by path. A README.md keeps the metadata keys that only
            the one on the Hub has.
        is_ours: Tells whether a file on the Hub that is not in `files` is a stale one of ours, to be removed.
        message: Begins the commit's message; the counts are added.
        public: Make it visible to everybody; without it, visibility stays as it is.
        check_public: Called before anything is sent that everybody will see; raises when it must not be.
        revision: Push to this branch, made when it is missing, instead of main.
        tag: Give the result this tag.
        space_sdk: For a new Space.

    Raises:
        HubError: In one line, what is wrong and what to do.
    """
    api = HfApi()
    with one_line_errors(f"pushing to {repo_id}"):
        if not get_token():
            raise HubError("no token to push with: run `hf auth login`, or set HF_TOKEN")
        role = _patiently(api.whoami).get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise HubError("this token may only read: make one that may write, then `hf auth login` or HF_TOKEN")
        if not _patiently(lambda: api.repo_exists(repo_id, repo_type=repo_type)):
            _refuse_other_types(api, repo_id, repo_type)
            _patiently(
                lambda: api.create_repo(repo_id, repo_type=repo_type, private=True, exist_ok=True, space_sdk=space_sdk)
            )
        if revision:
            _patiently(lambda: api.create_branch(repo_id, branch=revision, repo_type=repo_type, exist_ok=True))
        info = _patiently(lambda: api.repo_info(repo_id, repo_type=repo_type, revision=revision))
        if public or not info.private:
            check_public()
        remote = _remote_files(api, repo_id, repo_type, info.sha)
        wanted = _with_foreign_metadata(api, repo_id, repo_type, info.sha, files, remote)
        changed = sorted(path for path, content in wanted.items() if not _is_same(content, remote.get(path)))
        removed = sorted(path for path in remote.keys() - wanted.keys() if is_ours(path))
        commit = info.sha
        if changed or removed:
            counts = f"{len(changed)} files changed" + (f", {len(removed)} removed" if removed else "")
            operations: list[CommitOperationAdd | CommitOperationDelete] = [
                *(CommitOperationAdd(path, _content(wanted[path])) for path in changed),
                *(CommitOperationDelete(path) for path in removed),
            ]
            commit = _patiently(
                lambda: api.create_commit(
                    repo_id,
                    operations,
                    commit_message=f"{message} ({counts})",
                    repo_type=repo_type,
                    revision=revision,
                    parent_commit=info.sha,
                )
            ).oid
        if public and info.private:
            _patiently(lambda: api.update_repo_settings(repo_id, repo_type=repo_type, private=False))
        if tag:
            _tag(api, repo_id, repo_type, tag, commit)
    kind = "" if repo_type == "model" else f"{repo_type}s/"
    return Pushed(f"{api.endpoint}/{kind}{repo_id}", changed, removed, public or not info.private)


def _refuse_other_types(api: HfApi, repo_id: str, repo_type: str) -> None:
    for other in _TYPES:
        if other != repo_type and _patiently(partial(api.repo_exists, repo_id, repo_type=other)):
            raise HubError(f"{repo_id} is a {other} on the Hub and this is a {repo_type}: choose another name")


def _remote_files(api: HfApi, repo_id: str, repo_type: str, commit: str | None) -> dict[str, RepoFile]:
    tree = _patiently(lambda: list(api.list_repo_tree(repo_id, repo_type=repo_type, revision=commit, recursive=True)))
    return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def _with_foreign_metadata(
    api: HfApi,
    repo_id: str,
    repo_type: str,
    commit: str | None,
    files: Mapping[str, Path | bytes],
    remote: dict[str, RepoFile],
) -> dict[str, Path | bytes]:
    """Returns the files, the card's metadata completed by the keys that only the card on the Hub has."""
    if "README.md" not in files or "README.md" not in remote:
        return dict(files)
    theirs = _patiently(lambda: api.hf_hub_download(repo_id, "README.md", repo_type=repo_type, revision=commit))
    content = files["README.md"]
    card = RepoCard(content.decode() if isinstance(content, bytes) else content.read_text(encoding="utf-8"))
    for key, value in (
        RepoCard(Path(theirs).read_text(encoding="utf-8"), ignore_metadata_errors=True).data.to_dict().items()
    ):
        if card.data.get(key) is None:
            card.data[key] = value
    return {**files, "README.md": str(card).encode()}


def _is_same(content: Path | bytes, remote: RepoFile | None) -> bool:
    if remote is None:
        return False
    data = content if isinstance(content, bytes) else content.read_bytes()
    if remote.lfs is not None:
        return hashlib.sha256(data).hexdigest() == remote.lfs.sha256
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == remote.blob_id


def _content(content: Path | bytes) -> str | bytes:
    return content if isinstance(content, bytes) else str(content)


def _tag(api: HfApi, repo_id: str, repo_type: str, tag: str, commit: str | None) -> None:
    there = {
        ref.name: ref.target_commit
        for ref in _patiently(lambda: api.list_repo_refs(repo_id, repo_type=repo_type)).tags
    }
    if there.get(tag, commit) != commit:
        raise HubError(f"tag {tag} is on another commit already ({there[tag][:8]}): choose another --tag")
    _patiently(lambda: api.create_tag(repo_id, tag=tag, revision=commit, repo_type=repo_type, exist_ok=True))


def _patiently(call: Callable[[], T]) -> T:
    """Calls again where the Hub asks for it (429, 503), after the time that it names.

    The clients do so for uploads and downloads, but neither for commits nor for making a repository.
    """
    for attempt in Retrying(
        retry=retry_if_exception(_asks_to_wait), wait=_named_wait, stop=stop_after_attempt(_ATTEMPTS), reraise=True
    ):
        with attempt:
            return call()
    raise AssertionError("tenacity re-raises the last error")


def _asks_to_wait(error: BaseException) -> bool:
    return isinstance(error, HfHubHTTPError) and error.response.status_code in (429, 503)


def _named_wait(state: RetryCallState) -> float:
    error: Any = state.outcome.exception() if state.outcome else None
    named = error.response.headers.get("Retry-After", "") if error else ""
    return min(float(named) if named.isdigit() else 2.0 ** (state.attempt_number - 1), _LONGEST_WAIT)
