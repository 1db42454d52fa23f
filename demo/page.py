"""The page: a picture in; a verdict, every probability and their reasons out.

This says what it is made of. What it does then: `events` for visitors, `programs` for everything else.
"""

import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from demo.answering import Answering
from demo.events import Events
from demo.models.model import ServedModel
from demo.programs import Programs
from demo.telling.many import MOST
from demo.telling.showing import about_model, drawings_banner, title
from demo.theme import CSS, THEME
from model_folder.about import describe

__all__ = ["CSS", "THEME", "build_page"]

_LABELS = (
    "picture", "tab_one", "tab_many", "many_files", "feedback", "feedback_yes", "feedback_is", "feedback_send",
    "feedback_consent",
)  # fmt: skip
# In Gradio's order.
_SOURCES = ("choose", "camera", "paste")
_EXAMPLES_JS = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-example]");
  if (!button) return;
  trigger("click", { index: Number(button.dataset.example) });
  // On a phone the examples come last.
  document.getElementById("photo").scrollIntoView({ block: "nearest" });
});
"""
# Gradio goes by the browser's first language alone, too, but names the buttons below the picture in English. What its
# footer's pictures show stands beside them. After each answer its client closes a stream of its own, and warns that it
# can't.
_ON_LOAD_JS = """() => {
  const sources = %s;
  const asked = navigator.language.split("-")[0];
  const language = Object.hasOwn(sources, asked) ? asked : "en";
  document.documentElement.lang = language;
  const buttons = document.querySelectorAll("#photo .source-selection button");
  buttons.forEach((button, place) => button.setAttribute("aria-label", sources[language][place]));
  for (const picture of document.querySelectorAll("footer img")) picture.alt = "";
  const { warn } = console;
  console.warn = (...said) => said[0] === "Method not implemented." || warn(...said);
}"""
# One picture at a time each: a hundred pictures of one visitor do not stand before everybody else's one.
_ONE: dict[str, Any] = {"concurrency_id": "one", "preprocess": False}
_MANY: dict[str, Any] = {"concurrency_id": "many", "preprocess": False}
# For the page alone. Who gives a second picture before the first is answered wants to know about the second.
_OWN: dict[str, Any] = {"api_visibility": "private", "trigger_mode": "always_last"}

Html = Callable[..., gr.HTML]


def build_page(model: ServedModel) -> gr.Blocks:
    """Returns the page for a model. `launch` takes its `i18n_instance`, too.

    Raises:
        FeedbackError: FEEDBACK_DIR names a folder that can't be written to.
    """
    answering = Answering(model)
    events = Events(model, answering)
    programs = Programs(answering, events.dances)
    with gr.Blocks(title="Nritya", analytics_enabled=False) as page:
        page.i18n_instance = text = _texts(model, events)

        def html(key: str, **options: Any) -> gr.HTML:
            return gr.HTML(str(text(f"nritya_{key}")), elem_id=key, apply_default_css=False, **options)

        html("title")
        if model.drawings:
            html("drawings")
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab(text("nritya_tab_one")):
                _one(events, programs, text, html)
            with gr.Tab(text("nritya_tab_many")):
                _many(events, programs, text, html)
        html("about")
        sources = {language: [words(key) for key in _SOURCES] for language, words in events.languages.items()}
        page.load(None, None, None, js=_ON_LOAD_JS % json.dumps(sources), api_visibility="private")
    return page


def _one(events: Events, programs: Programs, text: gr.I18n, html: Html) -> None:
    with gr.Row(equal_height=False, elem_id="one"):
        with gr.Column(scale=5, min_width=320):
            photo = gr.Image(
                type="filepath",
                sources=["upload", "webcam", "clipboard"],
                label=text("nritya_picture"),
                show_label=False,
                height=380,
                format="jpeg",
                buttons=["fullscreen"],
                # As it is, not as in a mirror; and what is before a phone, not who holds it.
                webcam_options=gr.WebcamOptions(
                    mirror=False, constraints={"video": {"facingMode": {"ideal": "environment"}}}
                ),
                elem_id="photo",
            )
            offered = html("examples", js_on_load=_EXAMPLES_JS) if events.examples else None
        with gr.Column(scale=5, min_width=320):
            answer = html("answer")
            spoken = _feedback(events, text) if events.feedback else []
    outputs = [photo, answer, *spoken]
    photo.input(events.answer_photo, photo, outputs, show_progress_on=answer, **_ONE, **_OWN)
    if offered:
        offered.click(events.answer_example, None, outputs, show_progress_on=answer, **_ONE, **_OWN)
    probabilities = gr.Label(visible=False, label="probabilities")
    verdict = gr.Textbox(visible=False, label="verdict")
    prediction_set = gr.JSON(visible=False, label="prediction_set")
    gr.on(
        [],
        programs.predict,
        photo,
        [probabilities, verdict, prediction_set],
        api_name="predict",
        api_description=programs.about_one,
        **_ONE,
    )


def _feedback(events: Events, text: gr.I18n) -> list[Any]:
    """Adds "Was this right?"; returns what every new picture sets: subject, dance, consent, note."""
    assert events.feedback is not None, "without a place to keep answers, nobody asks for them"
    subject = gr.State(None)
    with gr.Column(elem_id="feedback"):
        gr.Markdown(text("nritya_feedback"))
        shown = events.feedback.takes_pictures
        consent = gr.Checkbox(False, label=text("nritya_feedback_consent"), visible=shown, container=False)
        with gr.Row():
            yes = gr.Button(text("nritya_feedback_yes"), variant="primary", min_width=70, scale=2)
            choices = [(dance.name, label) for label, dance in events.dances.items()]
            dance = gr.Dropdown(choices, value=None, label=text("nritya_feedback_is"), min_width=150, scale=5)
            send = gr.Button(text("nritya_feedback_send"), min_width=70, scale=2)
        told = gr.HTML(elem_id="feedback-note", apply_default_css=False)
    yes.click(events.keep_yes, [subject, consent], told, show_progress="hidden", api_visibility="private")
    send.click(events.keep_no, [subject, dance, consent], told, show_progress="hidden", api_visibility="private")
    return [subject, dance, consent, told]


def _many(events: Events, programs: Programs, text: gr.I18n, html: Html) -> None:
    photos = gr.File(
        file_count="multiple",
        file_types=["image", ".heic", ".heif", ".avif", ".tif", ".tiff"],
        label=text("nritya_many_files"),
        height=200,
        elem_id="photos",
    )
    html("hint")
    answers = html("answers")
    gr.on([photos.upload, photos.clear], events.answer_many, photos, answers, **_MANY, **_OWN)
    rows = gr.JSON(visible=False, label="answers")
    gr.on(
        [],
        programs.predict_many,
        photos,
        rows,
        api_name="predict_many",
        api_description=programs.about_many,
        **_MANY,
    )


def _texts(model: ServedModel, events: Events) -> gr.I18n:
    """Returns what stands on the page before anything happens, for the browser to choose the language."""
    showing = events.showing
    about = describe(
        model.name, model.config, model.test, model.repo_id, model.revision, model.file, model.int8_agreement
    )
    return gr.I18n(
        **{
            language: {
                "nritya_title": _safe(title(words)),
                "nritya_drawings": _safe(drawings_banner(words)),
                "nritya_answer": _safe(showing.waiting(words)),
                "nritya_examples": _safe(showing.examples(words, events.examples, model.drawings)),
                "nritya_about": _safe(about_model(words, about)),
                "nritya_answers": _safe(showing.many(words, [], words("many_waiting"))),
                "nritya_hint": words("many_hint", most=MOST),
                **{f"nritya_{key}": words(key) for key in _LABELS},
            }
            for language, words in events.languages.items()
        }
    )


def _safe(html: str) -> str:
    """Returns HTML without the braces that Gradio's translations take for placeholders."""
    return html.replace("{", "&#123;").replace("}", "&#125;")
