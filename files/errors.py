"""Mistakes that a user can fix end a command with one line and exit code 2; everything else is a bug."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Folders that users seldom know they have chosen, the narrowest first.
_VARIABLES = ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_HOME", "XDG_CACHE_HOME")


class UserError(ValueError):
    """Something the user can fix: the message says what was found, what is allowed and what to do."""


@contextmanager
def one_line_exit() -> Iterator[None]:
    """Ends the process with one line on stderr and exit code 2 when the block raises what the user can fix.

    That is a `UserError`, or an `OSError` that `explain` knows.

    Raises:
        SystemExit: In place of such an error. Any other exception passes as it is.
    """
    escape_unprintable()
    try:
        yield
    except UserError as error:
        message = message_of(error)
    except OSError as error:
        if (explained := explain(error)) is None:
            raise
        message = explained
    else:
        return
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def escape_unprintable() -> None:
    """Lets standard output and error take letters that the terminal's encoding lacks: they print as escapes."""
    for stream in (sys.stdout, sys.stderr):
        # What replaces them in a notebook or a test need not have an encoding.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def explain(error: OSError) -> str | None:
    """Returns what failed on disk and what to do, in one line; None where the user can do nothing."""
    name = error.filename2 or error.filename
    path = Path(os.fsdecode(name)).absolute() if isinstance(name, str | bytes | os.PathLike) else None
    message = _explain(error, path)
    variable = _variable_of(path) if path else None
    return f"{message} ({variable} says where)" if message and variable else message


def _variable_of(path: Path) -> str | None:
    """Returns the environment variable that decides where a path lies, if one does."""
    for variable in _VARIABLES:
        if (folder := os.environ.get(variable)) and path.is_relative_to(Path(folder).absolute()):
            return variable
    # Its place where none is set.
    return "HF_HOME" if "huggingface" in path.parts else None


def _explain(error: OSError, path: Path | None) -> str | None:
    match error.errno:
        case errno.ENOSPC:
            return f"no space left on {mount_of(path) if path else 'the disk'}{_while_writing(path)}: free some"
        case errno.EDQUOT:
            disk = f" on {mount_of(path)}" if path else ""
            return f"your quota{disk} is used up{_while_writing(path)}: free some space, or ask for more"
        case errno.ENOENT if path is None and "temporary directory" in str(error.strerror):
            return f"{error.strerror}: set TMPDIR to a folder that may be written"
    if path is None:
        return None
    match error.errno:
        case errno.EACCES | errno.EPERM:
            # `Path.exists` raises in a folder that may not be entered.
            if os.access(path, os.F_OK) and not os.access(path, os.R_OK):
                return f"{path} may not be read: change its permissions"
            return f"{path} may not be written: choose another folder or change its permissions"
        case errno.EROFS:
            return f"{path} can't be written, {mount_of(path)} is read-only: choose another folder"
        case errno.ENOTDIR | errno.EEXIST:
            file = next((p for p in (*reversed(path.parents), path) if p.exists() and not p.is_dir()), None)
            return f"{file} is a file, and not a folder: choose another path" if file else None
        case errno.EISDIR:
            return f"{path} is a folder: name a file"
        case errno.ENAMETOOLONG:
            part = max(path.parts, key=lambda part: len(os.fsencode(part)))
            return (
                f"the name {part[:20]}... of {len(os.fsencode(part))} bytes is too long, or its whole path of "
                f"{len(os.fsencode(path))} is: choose a shorter one"
            )
        case errno.ENOENT if not path.parent.is_dir():
            return f"{path} is not there, nor is its folder: check the path"
    return None


def mount_of(path: Path) -> Path:
    """Returns the mount point of the file system that `path`, which need not exist, lies on."""
    return next((folder for folder in (path, *path.parents) if folder.is_mount()), path)


def _while_writing(path: Path | None) -> str:
    return f" (writing {path})" if path else ""


def message_of(error: Exception) -> str:
    """Returns an error's message; one from a process of a DataLoader comes wrapped in that process's traceback."""
    text = str(error).strip()
    return text.splitlines()[-1].partition(": ")[2] if "Original Traceback" in text else text


def first_line(error: BaseException) -> str:
    """Returns the first line of an exception's message, or its type's name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
