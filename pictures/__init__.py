"""A file becomes upright sRGB, or the reason why not: the same for the dataset and for the page."""


class RefusedError(ValueError):
    """A file that is no picture to work with.

    Attributes:
        reason: Short, the same for every file of its kind, so that it can be counted.
        detail: What was found in this file.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason, self.detail = reason, detail
