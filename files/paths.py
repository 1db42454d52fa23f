"""Paths as users give them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from files.errors import UserError

_PATTERN = re.compile(r"[*?\[]|::")


def check_no_glob(path: Path) -> None:
    """Makes sure that `datasets` finds the files of a folder: it reads some characters of its path as a pattern.

    It resolves a path first, so that a relative name or a link avoids nothing.

    Raises:
        UserError: The absolute path holds one of them.
    """
    if found := _PATTERN.search(str(path.resolve())):
        raise UserError(
            f"{path.resolve()} has {found[0]} in its path, which `datasets` takes for a pattern and not for a name: "
            "use a folder whose path has none of * ? [ ::"
        )


def expand_home(text: str) -> str:
    """Returns a path with the home folder in place of a `~` at its begin, or at that of the value of `KEY=~/path`.

    Shells do so for a word of its own only.

    Raises:
        UserError: There is no home folder, as for a user without an entry in /etc/passwd.
    """
    before, equals, path = text.rpartition("=")
    if path != "~" and not path.startswith(("~/", f"~{os.sep}")):
        return text
    return f"{before}{equals}{home_folder()}{path[1:]}"


def command_line(*words: object) -> str:
    """Returns a command as it can be pasted into this system's shell, whatever spaces its paths have."""
    texts = list(map(str, words))
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


def home_folder() -> Path:
    """Returns the user's home folder.

    Raises:
        UserError: There is none, as for a user without an entry in /etc/passwd.
    """
    try:
        return Path.home()
    except RuntimeError:
        raise UserError("this user has no home folder: set the environment variable HOME to one") from None
