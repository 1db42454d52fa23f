"""From MODEL_ID to a model: at once, or on a Space while a page says that it is on its way."""

import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from demo.serving.waiting import Status, WaitingPage, megabytes_below
from files.errors import UserError

if TYPE_CHECKING:
    from demo.models.model import ServedModel

_NOT_SET = "set MODEL_ID to a model folder or a Hub id, or run `make demo`"
_TO_DO = (
    "The owner of this Space can change MODEL_ID in its settings, or in the file of that name. A private model needs "
    "a secret HF_TOKEN that may read it."
)
_FIRST_PAUSE, _LONGEST_PAUSE = 5, 60
# A path of this machine is nobody's business.
_PATH = re.compile(r"(?<![\w:/.-])/[\w.~-]+(?:/[\w.~-]+)+")


class StartError(UserError):
    """What keeps the page from starting and its owner can mend; the message says what was found and what to do."""


def on_a_space() -> bool:
    """Tells whether this is a Hugging Face Space, whose port should answer before its model is there."""
    return bool(os.environ.get("SPACE_ID"))


def load(model_id: str) -> "ServedModel":
    """Loads a model folder, or one from the Hub.

    Raises:
        StartError: It can't be had.
    """
    if not model_id:
        raise StartError(_NOT_SET)
    from demo.models.model import load_model

    try:
        return load_model(model_id)
    except UserError as error:
        raise StartError(f"MODEL_ID={error}") from None


def load_patiently(model_id: str, waiting: WaitingPage) -> "ServedModel":
    """Loads a model from the Hub; what goes wrong stands on the page until it goes right, or for ever."""
    if not model_id:
        waiting.status = Status("wrong", "This Space has no model to show: MODEL_ID is not set.", _TO_DO)
        print(f"error: {_NOT_SET}", file=sys.stderr)
        threading.Event().wait()
    waiting.progress = lambda: megabytes_below(_cache_folder(model_id))
    pause = _FIRST_PAUSE
    while True:
        waiting.status = Status("loading", f"The model {model_id} is being fetched. This page goes on by itself.")
        try:
            return load(model_id)
        except StartError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            said = f"This Space can't show its model yet: {_PATH.sub('…', str(error))}."
            for left in range(pause, 0, -1):
                waiting.status = Status("wrong", said, f"{_TO_DO} The next try is in {left} s.")
                time.sleep(1)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _cache_folder(model_id: str) -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE, "models--" + model_id.split("@")[0].replace("/", "--"))
