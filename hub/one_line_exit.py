"""How every command ends on a mistake that its user can mend: one line on stderr, exit code 2."""

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_THE_USERS_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


@contextmanager
def one_line_exit(*mistakes: type[Exception], message_of: Callable[[Exception], str] = str) -> Iterator[None]:
    """Ends the process with exit code 2 when the block raises one of `mistakes`, or finds a disk full or closed.

    Args:
        mistakes: Exceptions whose message says what was found, what is allowed and what to do.
        message_of: Gives an exception's message.

    Raises:
        SystemExit: In place of a mistake. Any other exception is a fault of ours and passes as it is.
    """
    try:
        yield
    except mistakes as error:
        print(f"error: {message_of(error)}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in _THE_USERS_DISK:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"error: {error.strerror}{where}: make room, or choose a place that may be written", file=sys.stderr)
        sys.exit(2)
