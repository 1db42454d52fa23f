"""The one exception that the command line turns into a clear line and exit code 2."""


class UserError(ValueError):
    """Something the user can mend: the message says what was found, what is allowed and what to do."""


def message_of(error: Exception) -> str:
    """Returns an error's message; one from a loader's process comes wrapped in that process's traceback."""
    text = str(error).strip()
    return text.splitlines()[-1].partition(": ")[2] if "Original Traceback" in text else text


def first_line(error: BaseException) -> str:
    """Returns the first line of an exception's message, or its type's name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
