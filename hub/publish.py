"""Publishing to the Hub: what may leave is decided before anything is sent.

A push is one commit with what differs, or none. Before it, files, keys of the card, tag and visibility are checked,
and the whole history of a repository that everybody will see. A push that must not be ends before it begins.
"""

import hashlib
import io
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import yaml
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, HfFileSystem, RepoCard, get_token
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from huggingface_hub.hf_api import GitCommitInfo, RepoFile
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from hub.errors import HubError, PublishError, named_wait, one_line_errors
from hub.repo import check_repo_id

logger = logging.getLogger(__name__)

OWNED_CARD_KEYS = {
    "dataset": frozenset({
        "annotations_creators", "configs", "dataset_info", "language", "language_creators", "license",
        "license_details", "license_link", "license_name", "multilinguality", "pretty_name", "size_categories",
        "source_datasets", "tags", "task_categories", "task_ids", "train-eval-index",
    }),
    "model": frozenset({
        "base_model", "base_model_relation", "datasets", "library_name", "license", "license_link", "license_name",
        "metrics", "model-index", "pipeline_tag", "tags", "widget",
    }),
    "space": frozenset({"app_file", "app_port", "datasets", "models", "python_version", "sdk", "sdk_version"}),
}  # fmt: skip
"""Keys of a card's metadata that describe what is pushed: what the card on the Hub says there never survives a push.

Other keys, such as `extra_gated_prompt`, belong to whoever wrote them and stay.
"""

_ATTEMPTS = 5
# The Hub counts requests in windows of five minutes.
_LONGEST_WAIT = 330.0
_SILENT_WAIT = 5.0
_BLOCK = 64 << 10
_NAMED = 3
# Enough of a SHA-256 to find the picture.
_NAME_LENGTH = 48

T = TypeVar("T")
Content = Path | bytes
Refusal = tuple[str, str]
"""A picture or file that must not be seen, and why; the reasons are few, so that they can be counted."""
Check = Callable[[str, Callable[[], BinaryIO]], list[Refusal]]
"""Given a file's path in the repository and a function that opens it: what is in it that must not be seen."""


@dataclass(frozen=True)
class Policy:
    """What may leave for a repository of one kind.

    Attributes:
        repo_type: "model", "dataset" or "space".
        is_stale: Whether a file on the Hub that is not pushed now is one of ours from an earlier push, to be removed.
        check_public: Finds what everybody must not see; None where there can't be any.
        remedy: What to do about the files of a push that everybody must not see.
        check_removed: Finds what a takedown must leave nowhere; None where nothing is taken down.
        check_head: Given a function that reads a file of the branch as it is (None where there is no such file),
            raises `PublishError` when the push must not follow it.
        space_sdk: For a new Space.
    """

    repo_type: str
    is_stale: Callable[[str], bool]
    check_public: Check | None = None
    remedy: str = ""
    check_removed: Check | None = None
    check_head: Callable[[Callable[[str], bytes | None]], None] = lambda read: None
    space_sdk: str | None = None


@dataclass(frozen=True)
class PushOptions:
    """What the user asks for, beside the files.

    Attributes:
        public: Make the repository visible to everybody; without it, visibility stays as it is.
        revision: Push to this branch, made from main when it is missing, instead of main.
        tag: Give the result this tag.
        squash: Rewrite every branch to a single commit, and delete stored files that nothing refers to any more.
        takedown: `squash`, and no tag from before the push may stay.
        delete_tags: With `squash` or `takedown`, delete the tags that still hold what must go.
    """

    public: bool = False
    revision: str | None = None
    tag: str | None = None
    squash: bool = False
    takedown: bool = False
    delete_tags: bool = False

    def __post_init__(self) -> None:
        """Checks what goes with what."""
        if self.delete_tags and not self.rewrites:
            raise PublishError("--delete-tags goes with --squash or --takedown: add one of them")

    @property
    def rewrites(self) -> bool:
        """Whether history is rewritten."""
        return self.squash or self.takedown


@dataclass(frozen=True)
class Published:
    """What a push did.

    Attributes:
        url: The repository's page.
        changed: Files added or changed, relative to the repository.
        removed: Stale files removed in the same commit.
        public: Whether everybody can see it now.
        squashed: Branches whose history was rewritten.
        deleted_tags: Tags that were deleted.
        deleted_blobs: How many stored files were deleted for good.
        left: References that still hold what must go and that no client can rewrite.
    """

    url: str
    changed: list[str]
    removed: list[str]
    public: bool
    squashed: list[str] = field(default_factory=list)
    deleted_tags: list[str] = field(default_factory=list)
    deleted_blobs: int = 0
    left: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Returns the line that a push ends with."""
        done = []
        if self.changed or self.removed:
            done.append(_counts(self.changed, self.removed))
        if self.squashed:
            done.append(f"history of {', '.join(self.squashed)} rewritten")
        if self.deleted_tags:
            done.append(f"tags deleted: {', '.join(self.deleted_tags)}")
        if self.deleted_blobs:
            done.append(f"{self.deleted_blobs} stored files deleted for good")
        if self.left:
            done.append(f"{', '.join(self.left)} still hold what must go: close or delete them on the Hub's page")
        seen = "public" if self.public else "private"
        return f"{self.url} ({seen}): {', '.join(done) or 'nothing to do, it is as it should be'}"


def publish(
    repo_id: str, policy: Policy, files: Mapping[str, Content], message: str, options: PushOptions
) -> Published:
    """Makes a repository hold `files`, by one commit with what differs or by none.

    A new repository is private until everything is there. Whatever breaks on the way, the same call finishes the job.

    Args:
        repo_id: Such as "user/dances".
        policy: What may leave.
        files: What the repository shall hold: content by path. Files are streamed, never read whole.
        message: Begins the commit's message; the counts are added.
        options: What the user asks for.

    Raises:
        PublishError: Something must not be published, or collides with what is there; nothing was sent.
        HubError: The Hub, or the way to it, says no.
    """
    check_repo_id(repo_id)
    with one_line_errors(f"pushing to {repo_id}"):
        remote = _Remote(repo_id, policy.repo_type)
        public = options.public or (remote.exists and not remote.private)
        check_public = policy.check_public if public else None
        checks = [check for check in (check_public, policy.check_removed if options.takedown else None) if check]
        if check_public and (refusals := _refused_in(files, check_public)):
            raise PublishError(f"{_listed(refusals)} must not be published: {policy.remedy}")
        branch = options.revision or "main"
        base = remote.branches.get(branch) or remote.branches.get("main")
        tree = remote.tree(base) if base else {}
        policy.check_head(lambda path: remote.read_file(path, base) if base and path in tree else None)
        wanted = dict(files)
        if "README.md" in files:
            theirs = remote.read_file("README.md", base) if base and "README.md" in tree else b""
            wanted["README.md"] = merge_card(files["README.md"], theirs, policy.repo_type)
        changed = sorted(path for path, content in wanted.items() if differs(content, tree.get(path)))
        removed = sorted(path for path in tree.keys() - wanted.keys() if policy.is_stale(path))
        if check_public:
            # What was checked here need not be fetched to be checked there.
            unchanged = wanted.keys() - set(changed)
            remote.clean |= {(check_public, path, _digest(tree[path])) for path in unchanged}
        stays = tree.keys() - wanted.keys() - set(removed)
        rewrite = _plan_rewrite(remote, checks, options, branch, stays, is_changed=bool(changed or removed))
        moves = bool(changed or removed or branch in rewrite.branches)
        if options.tag in remote.tags.keys() - set(rewrite.tags) and (moves or remote.tags[options.tag] != base):
            on = remote.tags[options.tag][:8]
            raise PublishError(f"tag {options.tag} is on another commit already ({on}): choose another --tag")

        # Up to here the Hub was only read.
        if not remote.exists:
            remote.create(policy.space_sdk)
            base = remote.branches["main"]
        if branch not in remote.branches:
            remote.call(remote.api.create_branch, branch=branch, exist_ok=True)
        if changed or removed:
            added = [CommitOperationAdd(path, _source(wanted[path])) for path in changed]
            if check_public:
                remote.clean |= {(check_public, add.path_in_repo, add.upload_info.sha256.hex()) for add in added}
            remote.call(
                remote.api.create_commit,
                operations=[*added, *(CommitOperationDelete(path) for path in removed)],
                commit_message=f"{message} ({_counts(changed, removed)})",
                revision=branch,
                parent_commit=base,
            )
        deleted = _rewrite(remote, rewrite) if options.rewrites else 0
        remote.refresh()
        if options.public and remote.private:
            # Somebody may have pushed in the meantime.
            if refused := _refused_history(remote, checks):
                raise PublishError(f"{repo_id} stays private: {_named(refused)} must not be published")
            remote.call(remote.api.update_repo_settings, private=False)
        if options.tag:
            remote.call(remote.api.create_tag, tag=options.tag, revision=remote.branches[branch], exist_ok=True)
    return Published(remote.url, changed, removed, public, rewrite.branches, rewrite.tags, deleted, rewrite.left)


class _Remote:
    """A repository on the Hub as a token sees it. What was read of a commit is kept: commits never change."""

    def __init__(self, repo_id: str, repo_type: str) -> None:
        self.repo_id, self.repo_type = repo_id, repo_type
        self.api = HfApi()
        self.files = HfFileSystem(skip_instance_cache=True)
        self.url = f"{self.api.endpoint}/{'' if repo_type == 'model' else f'{repo_type}s/'}{repo_id}"
        self.branches: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.fixed: dict[str, str] = {}
        """Heads of pull requests and of the Hub's own conversions: public like the rest, but not ours to rewrite."""
        self.private = True
        self._trees: dict[str, dict[str, RepoFile]] = {}
        self._commits: dict[str, list[GitCommitInfo]] = {}
        self._refusals: dict[tuple[Check, str, str], list[Refusal]] = {}
        self.clean: set[tuple[Check, str, str]] = set()
        """Checks that files have passed: the check, the path, and git's or LFS' name of the content."""
        if not get_token():
            raise HubError("no token to push with: run `hf auth login`, or set HF_TOKEN")
        if _patiently(self.api.whoami).get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise HubError("this token may only read: make one that may write, then `hf auth login` or HF_TOKEN")
        self.exists = _patiently(self.api.repo_exists, repo_id, repo_type=repo_type)
        if self.exists:
            self.private = bool(self.call(self.api.repo_info).private)
            self.refresh()
        else:
            for other in OWNED_CARD_KEYS.keys() - {repo_type}:
                if _patiently(self.api.repo_exists, repo_id, repo_type=other):
                    raise HubError(f"{repo_id} is a {other} on the Hub and this is a {repo_type}: choose another name")

    def call(self, method: Callable[..., T], **options: Any) -> T:
        """Calls a method of `api` about this repository."""
        return _patiently(method, self.repo_id, repo_type=self.repo_type, **options)

    def create(self, space_sdk: str | None) -> None:
        """Makes the repository, private."""
        self.call(self.api.create_repo, private=True, exist_ok=True, space_sdk=space_sdk)
        self.exists = True
        self.refresh()

    def refresh(self) -> None:
        """Reads where branches, tags and pull requests are now."""
        refs = self.call(self.api.list_repo_refs, include_pull_requests=True)
        self.branches = {ref.name: ref.target_commit for ref in refs.branches}
        self.tags = {ref.name: ref.target_commit for ref in refs.tags}
        self.fixed = {ref.ref: ref.target_commit for ref in [*refs.converts, *(refs.pull_requests or [])]}

    def commits(self, head: str) -> list[GitCommitInfo]:
        """Lists a commit and all before it, newest first."""
        if head not in self._commits:
            self._commits[head] = self.call(self.api.list_repo_commits, revision=head)
        return self._commits[head]

    def tree(self, commit: str) -> dict[str, RepoFile]:
        """Returns the files of a commit by path."""
        if commit not in self._trees:
            entries = self.call(
                lambda *of, **options: list(self.api.list_repo_tree(*of, **options)), revision=commit, recursive=True
            )
            self._trees[commit] = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
        return self._trees[commit]

    def open(self, path: str, commit: str) -> BinaryIO:
        """Opens a file of a commit; what is read of it is fetched, not the whole."""
        prefix = "" if self.repo_type == "model" else f"{self.repo_type}s/"
        # Small blocks: of a row group only some columns are wanted, and its pictures lie between them.
        return self.files.open(f"{prefix}{self.repo_id}@{commit}/{path}", "rb", block_size=_BLOCK)

    def read_file(self, path: str, commit: str) -> bytes:
        """Reads a small file of a commit."""
        return Path(self.call(self.api.hf_hub_download, filename=path, revision=commit)).read_bytes()

    def refused(self, check: Check, commit: str, paths: Iterable[str]) -> list[Refusal]:
        """Returns what a check finds in files of a commit; a file that several commits share is read once."""
        found = []
        for path in sorted(paths):
            key = check, path, _digest(self.tree(commit)[path])
            if key in self.clean:
                continue
            if key not in self._refusals:
                # Where the stored file was deleted, commits name it still, and nobody can see it.
                with suppress(EntryNotFoundError):
                    self._refusals[key] = _patiently(check, path, partial(self.open, path, commit))
            found += self._refusals.get(key, [])
        return found


@dataclass(frozen=True)
class _Rewrite:
    """What of a history is to be rewritten: branches to squash, tags to delete; `left` is out of reach."""

    branches: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Refused:
    """What a branch, a tag or a pull request must not show, and the commits that do."""

    name: str
    kind: str
    commits: list[str]
    refusals: list[Refusal]


def _refused_history(remote: _Remote, checks: Sequence[Check]) -> list[_Refused]:
    """Checks every commit that a branch, a tag or a pull request leads to."""
    found = []
    for kind, refs in (("branch", remote.branches), ("tag", remote.tags), ("reference", remote.fixed)):
        for name, head in refs.items():
            by_commit = {
                commit.commit_id: refusals
                for commit in (remote.commits(head) if checks else [])
                if (refusals := _refused_commit(remote, checks, commit.commit_id))
            }
            if by_commit:
                distinct = dict.fromkeys(refusal for refusals in by_commit.values() for refusal in refusals)
                found.append(_Refused(name, kind, list(by_commit), list(distinct)))
    return found


def _refused_commit(
    remote: _Remote, checks: Sequence[Check], commit: str, paths: Iterable[str] | None = None
) -> list[Refusal]:
    among = remote.tree(commit) if paths is None else paths
    return [refusal for check in checks for refusal in remote.refused(check, commit, among)]


def _plan_rewrite(
    remote: _Remote, checks: Sequence[Check], options: PushOptions, branch: str, stays: Iterable[str], is_changed: bool
) -> _Rewrite:
    """Decides what of the history has to go.

    Args:
        remote: The repository.
        checks: What nobody must see.
        options: What the user asks for.
        branch: Where the push goes.
        stays: Files of others on that branch, which the push leaves as they are.
        is_changed: Whether the push makes a commit.

    Raises:
        PublishError: Without `rewrites`, the history holds what must not be seen; with it, squashing is not enough.
    """
    if not remote.exists:
        return _Rewrite()
    refused = _refused_history(remote, checks)
    if not options.rewrites:
        if refused:
            raise PublishError(
                f"everybody would see the history of {remote.repo_id}: {_named(refused)} must not be published: add "
                "--squash to keep of every branch what it holds now and nothing before, or push to a new repository"
            )
        return _Rewrite()
    if (base := remote.branches.get(branch)) and (refusals := _refused_commit(remote, checks, base, stays)):
        raise PublishError(
            f"{_listed(refusals)} of others in {remote.repo_id} must not be published: delete these files there"
        )
    for name, head in remote.branches.items():
        if name != branch and (refusals := _refused_commit(remote, checks, head)):
            raise PublishError(
                f"branch {name} of {remote.repo_id} holds what must go ({_listed(refusals)}): delete the branch, or "
                f"push there first with --revision {name}"
            )
    lengths = {name: len(remote.commits(head)) for name, head in remote.branches.items()}
    squash = [name for name, length in lengths.items() if length > 1 or (name == branch and is_changed)]
    if branch not in lengths:
        # It begins as main is now, with all that was before.
        squash.append(branch)
    # A tag on what stays as it is, such as one of the same push run again, holds nothing else.
    clean = {head for name, head in remote.branches.items() if name not in squash}
    bad_tags = {found.name for found in refused if found.kind == "tag"}
    tags = [
        name for name, commit in remote.tags.items() if name in bad_tags or (options.takedown and commit not in clean)
    ]
    if tags and not options.delete_tags:
        raise PublishError(
            f"tags of {remote.repo_id} still hold what must go: {', '.join(tags)}: add --delete-tags to delete them"
        )
    left = [found.name for found in refused if found.kind == "reference"]
    if left and remote.private and options.public:
        raise PublishError(
            f"{', '.join(left)} of {remote.repo_id} hold what must not be published and can't be rewritten: push to a "
            "new repository"
        )
    return _Rewrite(squash, tags, left)


def _rewrite(remote: _Remote, rewrite: _Rewrite) -> int:
    """Squashes branches, deletes tags, then deletes for good the stored files that no commit refers to any more.

    Returns:
        How many stored files were deleted.
    """
    remote.refresh()
    for name in rewrite.branches:
        head = remote.commits(remote.branches[name])
        if len(head) > 1:
            remote.call(remote.api.super_squash_history, branch=name, commit_message=head[0].title)
    for tag in rewrite.tags:
        remote.call(remote.api.delete_tag, tag=tag)
    remote.refresh()
    heads = {*remote.branches.values(), *remote.tags.values(), *remote.fixed.values()}
    commits = {commit.commit_id for head in heads for commit in remote.commits(head)}
    referred = {file.lfs.sha256 for commit in commits for file in remote.tree(commit).values() if file.lfs}
    stored = remote.call(lambda *of, **options: list(remote.api.list_lfs_files(*of, **options)))
    unused = [file for file in stored if file.file_oid not in referred]
    if unused:
        # No commit refers to them: there is no history left to rewrite.
        remote.call(remote.api.permanently_delete_lfs_files, lfs_files=unused, rewrite_history=False)
    return len(unused)


def _refused_in(files: Mapping[str, Content], check: Check) -> list[Refusal]:
    return [refusal for path, content in files.items() for refusal in check(path, partial(_open, content))]


def _listed(refusals: Sequence[Refusal]) -> str:
    """Counts refusals by reason and names a few."""
    reasons = ", ".join(f"{count} x {why}" for why, count in Counter(why for _, why in refusals).most_common())
    names = ", ".join(what[:_NAME_LENGTH] for what, _ in refusals[:_NAMED])
    return f"{len(refusals)} pictures or files ({reasons}: {names}{', ...' if len(refusals) > _NAMED else ''})"


def _named(refused: Sequence[_Refused]) -> str:
    """Counts what a history must not show, and names the branches, tags and commits that do."""
    everything = list(dict.fromkeys(refusal for found in refused for refusal in found.refusals))
    places = [
        f"{found.kind} {found.name} (commits {', '.join(commit[:8] for commit in found.commits[:_NAMED])}"
        f"{', ...' if len(found.commits) > _NAMED else ''})"
        for found in refused
    ]
    return f"{_listed(everything)} in {', '.join(places)}"


def _counts(changed: Sequence[str], removed: Sequence[str]) -> str:
    return f"{len(changed)} files changed" + (f", {len(removed)} removed" if removed else "")


def merge_card(ours: Content, theirs: bytes, repo_type: str) -> bytes:
    """Returns our card with those keys of the card on the Hub that are not ours to say."""
    with _open(ours) as content:
        card = read_card(content.read(), "README.md")
    foreign = read_card(theirs, "README.md on the Hub").data.to_dict() if theirs else {}
    for key, value in foreign.items():
        if key not in OWNED_CARD_KEYS[repo_type] and card.data.get(key) is None:
            card.data[key] = value
    return str(card).encode()


def read_card(content: bytes, name: str) -> RepoCard:
    """Reads a card: the metadata in its YAML block, and its text.

    Raises:
        PublishError: The block is no valid YAML, or the text no UTF-8; says where.
    """
    try:
        return RepoCard(content.decode(), ignore_metadata_errors=True)
    except (yaml.YAMLError, ValueError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or error
        where = f", line {mark.line + 2}" if mark else ""
        reason = str(problem).splitlines()[0]
        raise PublishError(f"the YAML block of {name} can't be read ({reason}{where}): repair it, then push") from None


def differs(content: Content, remote: RepoFile | None) -> bool:
    """Tells whether a file is another one than that on the Hub, by git's or LFS' name of its content."""
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    if remote is None or remote.size != size:
        return True
    with _open(content) as stream:
        if remote.lfs is not None:
            return hashlib.file_digest(stream, "sha256").hexdigest() != remote.lfs.sha256
        # As git names a file that is not in LFS.
        return hashlib.file_digest(stream, lambda: hashlib.sha1(b"blob %d\0" % size)).hexdigest() != remote.blob_id


def _digest(file: RepoFile) -> str:
    return file.lfs.sha256 if file.lfs else file.blob_id


def _open(content: Content) -> io.BytesIO | io.BufferedReader:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def _source(content: Content) -> str | bytes:
    return content if isinstance(content, bytes) else str(content)


def _patiently(call: Callable[..., T], *args: Any, **options: Any) -> T:
    """Calls again where the Hub asks for it (429, 503), after the time that it names.

    The clients do so for uploads and downloads, but neither for commits nor for making a repository.
    """
    for attempt in Retrying(
        retry=retry_if_exception(_asks_to_wait),
        wait=_seconds,
        stop=stop_after_attempt(_ATTEMPTS),
        before_sleep=_tell,
        reraise=True,
    ):
        with attempt:
            return call(*args, **options)
    raise AssertionError("tenacity re-raises the last error")


def _asks_to_wait(error: BaseException) -> bool:
    if not isinstance(error, HfHubHTTPError) or error.response.status_code not in (429, 503):
        return False
    return (named_wait(error) or 0) <= _LONGEST_WAIT


def _seconds(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    named = named_wait(error) if isinstance(error, HfHubHTTPError) else None
    # One more against rounding, and else doubled: both as in huggingface_hub.utils.http_backoff.
    return 2.0 ** (state.attempt_number - 1) if named is None else named + 1.0


def _tell(state: RetryCallState) -> None:
    seconds = state.next_action.sleep if state.next_action else 0
    if seconds > _SILENT_WAIT:
        logger.warning("the Hub asks to wait: going on in %d s", seconds)
