"""The one exception that the command line turns into a clear line and exit code 2."""


class UserError(ValueError):
    """Something the user can mend: the message says what was found, what is allowed and what to do."""
