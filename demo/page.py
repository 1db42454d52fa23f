"""The page: a picture in, the probability of every dance out."""

from pathlib import Path

import gradio as gr

from demo.model import NoNumbersError, ServedModel
from demo.upload import UnreadableError, read_upload


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

    def predict(image: str | None) -> dict[str, float] | None:
        """Classify a picture of a dancer.

        Args:
            image: A file with a picture.

        Returns:
            The probability of every dance.
        """
        if image is None:
            return None
        try:
            return model.by_name(model.answer(read_upload(Path(image))).probs)
        except UnreadableError as error:
            raise gr.Error(str(error), title="Not a picture", print_exception=False) from None
        except NoNumbersError:
            raise gr.Error("The model gave no numbers for this picture.", print_exception=False) from None

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
                photo = gr.Image(
                    type="filepath",
                    sources=["upload", "webcam", "clipboard"],
                    label="Picture",
                    height=380,
                    elem_id="photo",
                )
                # The file as it came. Gradio would decode it, and answer one that it can't with an error of its own.
                photo.preprocess = lambda payload: payload and payload.path
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
