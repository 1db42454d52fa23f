"""The demo: a picture in, the probability of every dance out. Also the file that a Hugging Face Space runs.

MODEL_ID=RUN/model python app.py      (a model folder or a Hub id; the port from GRADIO_SERVER_PORT)
"""

import json
import math
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before gradio is imported: nothing about a visitor or this machine is sent anywhere.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification
from transformers.utils import logging as transformers_logging

from hub.errors import HubError
from hub.model_folder import ModelFolderError, open_model_folder

UNREADABLE = "This file can't be read as a picture. JPEG, PNG, WebP and GIF files work."
MAX_FILE_SIZE = "20mb"
MAX_PIXELS = 100_000_000
LONGEST_FACT = 500


@dataclass(frozen=True)
class ServedModel:
    """A model folder, loaded.

    Attributes:
        name: The Hub id, or the architecture and the dataset that it was trained on.
        network: Gives logits, float32 of shape (batch, classes), for `pixel_values`.
        processor: Turns RGB pictures into `pixel_values`.
        label_names: Class names, in the order of the logits.
        facts: What there is to tell about a class, by its name.
        drawings: True when it was trained on drawings.
        test: metrics.json of the test split, or empty when it was not judged.
        examples: Pictures to offer.
    """

    name: str
    network: Any
    processor: Any
    label_names: list[str]
    facts: dict[str, str]
    drawings: bool
    test: dict[str, Any]
    examples: list[Path]

    @torch.inference_mode()
    def classify(self, image: Image.Image) -> dict[str, float]:
        """Returns the probability of every class, 0 to 1, for an upright RGB picture."""
        pixel_values = self.processor(image)["pixel_values"]
        probs = self.network(pixel_values=pixel_values).logits[0].softmax(0).tolist()
        if not all(map(math.isfinite, probs)):
            # `gr.Label` would sort it first and call it the answer.
            raise gr.Error("The model gave no numbers for this picture.", print_exception=False)
        return dict(zip(self.label_names, probs, strict=True))


def load_model(model_id: str) -> ServedModel:
    """Loads a model folder, or fetches one from the Hub.

    Raises:
        ModelFolderError: It is none, or one not to be trusted.
        HubError: It can't be fetched.
    """
    folder = open_model_folder(model_id)
    try:
        network = AutoModelForImageClassification.from_pretrained(folder.path).eval()
        processor = AutoImageProcessor.from_pretrained(folder.path)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelFolderError(f"{model_id} can't be loaded: {str(error).strip().splitlines()[0]}") from None
    metrics = folder.path / "metrics.json"
    try:
        test = json.loads(metrics.read_text(encoding="utf-8")).get("test", {}) if metrics.exists() else {}
    except (ValueError, AttributeError) as error:
        raise ModelFolderError(f"{model_id} has a damaged metrics.json ({error}): evaluate it again") from None
    return ServedModel(
        name=_name(model_id, folder.config),
        network=network,
        processor=processor,
        label_names=folder.label_names,
        facts=_facts(folder.config.get("classes")),
        drawings=folder.config.get("training_data", {}).get("drawings", False),
        test=test,
        examples=sorted((folder.path / "examples").glob("*.jpg")),
    )


def _name(model_id: str, config: dict[str, Any]) -> str:
    if not Path(model_id).is_dir():
        return model_id
    # A path of this machine is nobody's business.
    data = config.get("training_data", {}).get("name")
    return f"{config['architecture']}, trained on “{data}”" if data else config["architecture"]


def _facts(classes: Any) -> dict[str, str]:
    """Returns a paragraph per class from a model folder's config, which anybody may have written."""
    facts = {}
    for label, told in classes.items() if isinstance(classes, dict) else ():
        if not isinstance(told, dict):
            continue
        name, native, region, fact, look_for = (
            # As plain text: no link, no markup, no novel.
            re.sub(r"([\\`*_\[\]<>#|!~])", r"\\\1", str(told.get(key, ""))[:LONGEST_FACT])
            for key in ("name", "native", "region", "fact", "look_for")
        )
        facts[label] = f"**{name}** · {native} · {region}\n\n{fact}\n\n*What to look for:* {look_for}"
    return facts


def photo_input() -> gr.Image:
    """Returns an image input that gives upright RGB, or answers an unreadable file with one friendly sentence."""
    photo = gr.Image(
        type="pil",
        image_mode=None,
        sources=["upload", "webcam", "clipboard"],
        label="Picture",
        height=380,
        elem_id="photo",
    )
    decode = photo.preprocess

    def preprocess(payload: Any) -> Image.Image | None:
        try:
            image = decode(payload)
            return as_rgb(image) if image is not None else None
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
            # Everything that Pillow's decoders answer a damaged or hostile file with.
            raise gr.Error(UNREADABLE, title="Not a picture", print_exception=False) from None

    # Not a subclass: Gradio writes an interface file beside the module of every new component class.
    photo.preprocess = preprocess
    return photo


def as_rgb(image: Image.Image) -> Image.Image:
    """Returns the picture in mode RGB, transparent parts on white."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def about(model: ServedModel) -> str:
    """Returns what the page says of the model: its name and how good it has been measured to be."""
    if not model.test:
        return f"Model: **{model.name}** · not judged on a test split yet"
    low, high = model.test["accuracy_interval"]
    return (
        f"Model: **{model.name}** · right on **{model.test['accuracy']:.0%}** of {model.test['pictures']} test "
        f"{'drawings' if model.drawings else 'pictures'} (95 % interval {low:.0%} – {high:.0%}, {model.test['date']})"
    )


def build_page(model: ServedModel) -> gr.Blocks:
    """Returns the page for a model."""
    names = len(model.label_names)

    def predict(image: Image.Image | None) -> dict[str, float] | None:
        """Classify a picture of a dancer.

        Args:
            image: A picture, upright RGB.

        Returns:
            The probability of every dance.
        """
        return model.classify(image) if image is not None else None

    def tell(answer: dict[str, float] | None) -> str:
        return model.facts.get(max(answer, key=lambda name: answer[name]), "") if answer else ""

    with gr.Blocks(title="Nritya", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown("# Nritya\nWhich classical dance of India is this? Give a picture of a dancer.")
        if model.drawings:
            gr.Markdown(
                "**This model knows drawings, not photographs.** It was trained on stylised dancers that a program "
                "drew. What it says about a photograph means nothing.",
                elem_id="drawings",
            )
        with gr.Row(equal_height=False):
            with gr.Column():
                photo = photo_input()
            with gr.Column():
                answer = gr.Label(
                    label="Probability of each dance", num_top_classes=names, elem_id="answer", show_heading=True
                )
                facts = gr.Markdown(elem_id="facts", sanitize_html=True)
        if model.examples:
            kind = "Drawings" if model.drawings else "Pictures"
            gr.Examples(
                [[str(path)] for path in model.examples],
                inputs=[photo],
                label=f"{kind} that the model has not learned from",
                examples_per_page=16,
                cache_examples=False,
            )
        gr.Markdown(about(model), elem_id="about")
        photo.change(predict, photo, answer, api_name="predict", api_description="Probability of every dance.")
        answer.change(tell, answer, facts, api_visibility="private", queue=False)
    return page


THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.rose,
    neutral_hue=gr.themes.colors.stone,
    font=["system-ui", "sans-serif"],
    # Gradio sets the names of the classes in this one.
    font_mono=["system-ui", "sans-serif"],
    radius_size=gr.themes.sizes.radius_lg,
)
CSS = """
.gradio-container { max-width: 1060px !important; margin: 0 auto; }
#answer h2, #answer .confidence-set { text-transform: capitalize; }
#answer { font-variant-numeric: tabular-nums; }
#drawings { border-left: 4px solid var(--primary-500); padding: .4rem .9rem; }
#about { opacity: .85; }
"""


def main() -> int:
    """Serves MODEL_ID until stopped; returns the exit code."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
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
