"""The demo: a picture in, the probability of every dance out. Also the file that a Hugging Face Space runs.

MODEL_ID=RUN/model python app.py      (a model folder or a Hub id; the port from GRADIO_SERVER_PORT)
"""

import os
import sys
from pathlib import Path

# Before gradio is imported: nothing about a visitor or this machine is sent anywhere.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from demo.model import load_model
from demo.page import CSS, THEME, build_page
from hub.errors import HubError
from hub.model_folder import ModelFolderError

MAX_FILE_SIZE = "20mb"


def main() -> int:
    """Serves MODEL_ID until stopped; returns the exit code."""
    # A Space has its model's id in a file beside this one.
    default = Path(__file__).with_name("MODEL_ID")
    model_id = os.environ.get("MODEL_ID") or (default.read_text(encoding="utf-8").strip() if default.exists() else "")
    if not model_id:
        print("error: set MODEL_ID to a model folder or a Hub id, or run `make demo`", file=sys.stderr)
        return 2
    try:
        model = load_model(model_id)
    except (ModelFolderError, HubError) as error:
        print(f"error: MODEL_ID={error}", file=sys.stderr)
        return 2
    try:
        build_page(model).queue(max_size=64).launch(
            theme=THEME,
            css=CSS,
            max_file_size=MAX_FILE_SIZE,
            show_error=True,
            footer_links=["api", "gradio", "settings"],
        )
    except (OSError, ValueError, OverflowError) as error:
        # The port that GRADIO_SERVER_PORT asked for is taken; where it asks for none, Gradio takes the next free one.
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
