"""The demo: a picture in, the probability of every dance out. Also the file that a Hugging Face Space runs.

MODEL_ID=RUN/model python app.py      (a model folder or a Hub id; the port from GRADIO_SERVER_PORT)

The quantised file answers where the folder has one; MODEL_FORMAT=float or MODEL_FORMAT=int8 leaves no choice.

SIGTERM and Ctrl-C end it, with exit code 0, after what was being answered is finished.
"""

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# Before gradio is imported: nothing about a visitor or this machine is sent anywhere, and no statistics are kept,
# which it would reckon anew after every answer.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**12)
# At the first call it asks matplotlib, where that is installed, what it draws with. Unless this says so, matplotlib
# imports all of itself to find out, and the visitor waits. Every shell of a notebook names another one, which need not
# be installed.
os.environ["MPLBACKEND"] = "agg"
# And before Pillow is: the memory of two decoded pictures, 16 MB each at most, stays for the next ones.
os.environ.setdefault("PILLOW_BLOCKS_MAX", "2")

from demo.serving.loading import StartError, load, load_patiently, on_a_space
from demo.serving.upload_folder import UploadFolder, upload_folder
from demo.serving.waiting import WaitingPage
from files.errors import UserError, escape_unprintable, explain
from model_folder.malloc import tune_malloc

if TYPE_CHECKING:
    from demo.models.model import ServedModel
    from demo.serving.server import Serving

FIRST_PORT = 7860


def main() -> int:
    """Serves MODEL_ID until stopped; returns the exit code."""
    escape_unprintable()
    # Dozens of threads decode pictures: each would have a heap of its own, with holes where these have been.
    tune_malloc(trim_threshold=2**22, mmap_threshold=2**20, arena_max=2)
    # A Space has its model's id in a file beside this one.
    default = Path(__file__).with_name("MODEL_ID")
    model_id = os.environ.get("MODEL_ID") or (default.read_text(encoding="utf-8").strip() if default.exists() else "")
    with upload_folder() as uploads:
        try:
            port = _asked_port()
            _check_format()
            if on_a_space() and not (model_id and Path(model_id).is_dir()):
                port = port or FIRST_PORT
                waiting = WaitingPage(os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), port)
                with waiting.answering():
                    serving = _page_of(load_patiently(model_id, waiting), uploads, port)
            else:
                serving = _page_of(load(model_id), uploads, port)
            serving.start()
            gc.freeze()
            gc.enable()
        except (UserError, OSError) as error:
            reason = explain(error) if isinstance(error, OSError) else None
            print(f"error: {reason or error}", file=sys.stderr)
            return 2
        serving.until_stopped()
    return 0


def _asked_port() -> int | None:
    asked = os.environ.get("GRADIO_SERVER_PORT")
    if not asked:
        return None
    if not asked.isdecimal() or not 0 < int(asked) < 2**16:
        raise StartError(f"GRADIO_SERVER_PORT is {asked!r}: a number from 1 to 65535 is allowed")
    return int(asked)


def _check_format() -> None:
    if (asked := os.environ.get("MODEL_FORMAT")) not in (None, "float", "int8"):
        raise StartError(f"MODEL_FORMAT is {asked!r}: float and int8 are allowed")


def _page_of(model: "ServedModel", uploads: UploadFolder, port: int | None) -> "Serving":
    # Modules, classes and components come in by the hundred thousand and stay. Looking through them for garbage again
    # and again would make up a quarter of the start; `main` has them passed over for good.
    gc.disable()
    # Heavy: not before the model is there, for a wrong MODEL_ID is to be told at once.
    from demo.page import CSS, THEME, build_page
    from demo.serving.server import Serving

    page = build_page(model)
    return Serving(page, uploads, port, theme=THEME, css=CSS, i18n=page.i18n_instance)


if __name__ == "__main__":
    # Whatever still runs is not waited for.
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
