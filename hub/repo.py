"""Names of repositories: `user/name`, with `@revision` where one is wanted."""

import re
from dataclasses import dataclass
from pathlib import Path

from hub.errors import PublishError

# The Hub also has a few old names without an owner; here they are rather folders that are missing.
_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?", re.ASCII)


@dataclass(frozen=True)
class RepoId:
    """A repository on the Hub.

    Attributes:
        repo_id: Such as "user/dances".
        revision: A branch, a tag, a commit hash, or None for the main branch.
    """

    repo_id: str
    revision: str | None = None

    def __str__(self) -> str:
        """Returns `user/name` or `user/name@revision`."""
        return f"{self.repo_id}@{self.revision}" if self.revision else self.repo_id


def parse(name: str) -> Path | RepoId | None:
    """Tells what a name given on a command line means.

    Returns:
        A folder that exists, else a repository on the Hub, or None when the name can be neither.
    """
    if name and Path(name).is_dir():
        return Path(name)
    if not _ID.fullmatch(name):
        return None
    repo_id, _, revision = name.partition("@")
    return RepoId(repo_id, revision or None)


def check_repo_id(name: str) -> None:
    """Refuses to push to what is no repository's name.

    Raises:
        PublishError: Says what a name looks like.
    """
    if name.count("/") != 1 or name.startswith("/") or name.endswith("/"):
        raise PublishError(f"{name!r} names no repository: give user/name or organisation/name, such as alice/dances")
    if "@" in name:
        raise PublishError(
            f"{name!r} names a revision: give {name.partition('@')[0]} and --revision BRANCH or --tag TAG"
        )
