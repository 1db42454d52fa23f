"""The cleaner's page: what a click or a key does. It keeps no state: decisions are in their file."""

import base64
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

# Before gradio is imported: nothing about a visitor or this machine is sent anywhere.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import jinja2

from files.errors import UserError
from train.cleaner.decisions import Decision, DecisionLog
from train.cleaner.label_issues import LabelIssue
from train.cleaner.review import ANY, DECIDED, UNDECIDED, Filters, Review
from train.data import DatasetError, read_image
from train.folds import Pool
from train.predictions import Predictions

_HERE = Path(__file__).parent
_ALL = "all"
_KEYS = (
    "Keys: **K** keep · **D** delete · **R** as suggested · **1** – **9** another class · **U** undo · "
    "**→** skip · **←** back. Every decision is on disk before the next picture shows."
)
_SIDE, _THUMBNAIL = 900, 128
_MOST_COPIES, _MOST_BARS = 6, 3
_ENVIRONMENT = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
_HTML: Any = _ENVIRONMENT.from_string((_HERE / "page.html").read_text(encoding="utf-8")).module


class Rendering:
    """Renders the parts of the page as HTML."""

    def __init__(self, pool: Pool, predictions: Predictions, review: Review) -> None:
        """Takes the pictures, what models say of each, and their order."""
        self.review, self.label_names, self.probs = review, predictions.label_names, predictions.probs
        self.rows = pool.rows
        self.facts = self.rows.remove_columns("image")
        # A page goes back and forth among few pictures.
        self._uri = lru_cache(256)(self._make_uri)

    def picture(self, issue: LabelIssue) -> str:
        """Returns the picture itself."""
        place = self.review.rank[issue.sha256] + 1
        uri = self._uri(issue.index, _SIDE)
        return _HTML.picture(issue=issue, uri=uri, place=place, count=len(self.review.issues))

    def verdict(self, issue: LabelIssue, decision: Decision | None) -> str:
        """Returns what it is labelled, what models say, and what was decided."""
        shares = dict(zip(self.label_names, self.probs[issue.index].tolist(), strict=True))
        bars = sorted(shares.items(), key=lambda bar: -bar[1])[:_MOST_BARS]
        if issue.label not in dict(bars):
            bars.append((issue.label, shares[issue.label]))
        return _HTML.verdict(issue=issue, bars=bars, decision=decision)

    def about(self, issue: LabelIssue, decisions: Mapping[str, Decision]) -> str:
        """Returns its near-duplicates and where it comes from."""
        near = self.review.near(issue)
        copies = [
            (self._uri(other.index, _THUMBNAIL), other, decisions.get(other.sha256)) for other in near[:_MOST_COPIES]
        ]
        row: dict[str, Any] = dict.fromkeys(
            ("title", "author", "author_url", "license", "license_url", "source", "source_url")
        )
        row |= self.facts[issue.index]
        return _HTML.about(near=len(near), copies=copies, row=row)

    def _make_uri(self, index: int, side: int) -> str | None:
        try:
            small = read_image(self.rows, index, 2 * side)
        except DatasetError:
            return None
        small.thumbnail((side, side))
        file = io.BytesIO()
        small.save(file, "JPEG", quality=88)
        return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


@dataclass(frozen=True)
class Cleaner:
    """What the page works on.

    Attributes:
        title: What people call the dataset.
        dataset: Its folder or Hub id.
        run: The run whose predictions are shown.
        label_names: Its classes.
        review: The way through the pictures.
        rendering: What renders them.
        log: Where decisions go.
    """

    title: str
    dataset: str
    run: Path
    label_names: list[str]
    review: Review
    rendering: Rendering
    log: DecisionLog

    def decide(self, action: str, label: str, current: str, *chosen: Any) -> Any:
        """Decides about the picture that a page shows, then shows the next one.

        Args:
            action: "keep", "delete", "relabel", or "suggest" for a relabel to what the models say.
            label: The class for "relabel".
            current: What the page shows, as `_token` gives it.
            chosen: The page's filters.
        """
        filters = _filters(*chosen)
        sha256, seen = _parse(current)
        issue = self.review.find(sha256)
        if issue is None:
            return gr.skip()
        label = issue.suggested if action == "suggest" else label
        if action in ("relabel", "suggest"):
            action, label = ("keep", "") if label == issue.label else ("relabel", label)
        decision = Decision(sha256, action, label)
        decided = self.log.decide(decision, seen)
        decisions = self.log.current()
        message = f"{sha256[:12]}, {issue.label}: {decision}"
        if not decided:
            message = f"{sha256[:12]} was decided elsewhere meanwhile: nothing was changed."
        return self.show(self.review.after(sha256, filters, decisions), message, filters)

    def undo(self, current: str, *chosen: Any) -> list[Any]:
        """Takes back the last decision and shows its picture again."""
        gone = self.log.undo()
        filters = _filters(*chosen)
        if gone is None:
            return self.show(self.review.find(_parse(current)[0]), "There is nothing to take back.", filters)
        issue = self.review.find(gone.sha256) or self.review.find(_parse(current)[0])
        return self.show(issue, f"Taken back: {gone.sha256[:12]}, {gone}", filters)

    def go(self, way: str, current: str, *chosen: Any) -> list[Any]:
        """Shows the next or the previous picture, or ("begin") the first that the filters leave."""
        filters = _filters(*chosen)
        decisions = self.log.current()
        sha256 = None if way == "begin" else _parse(current)[0]
        step = self.review.before if way == "previous" else self.review.after
        return self.show(step(sha256, filters, decisions), "", filters)

    def show(self, issue: LabelIssue | None, message: str, filters: Filters) -> list[Any]:
        """Returns the page's content, in the order of the outputs."""
        decisions = self.log.current()
        done = self.review.progress(decisions)
        progress = _HTML.progress(progress=done, done=sum(done.decided.values()), message=message)
        if issue is None:
            end = _HTML.all_done(
                path=str(self.log.path), dataset=self.dataset, run=str(self.run), filtered=filters != Filters()
            )
            return ["", progress, end, "", "", gr.Button("As suggested", interactive=False)]
        decision = decisions.get(issue.sha256)
        differs = issue.label != issue.suggested
        return [
            _token(issue.sha256, decision),
            progress,
            self.rendering.picture(issue),
            self.rendering.verdict(issue, decision),
            self.rendering.about(issue, decisions),
            gr.Button(f"It is {issue.suggested}" if differs else "As suggested", interactive=differs),
        ]


def build_page(cleaner: Cleaner) -> gr.Blocks:
    """Returns the page."""
    with gr.Blocks(title=f"Clean {cleaner.title}", analytics_enabled=False) as page:
        gr.Markdown(f"# Clean “{cleaner.title}”")
        progress = gr.HTML(elem_id="progress")
        with gr.Row(elem_id="filters"):
            dance = gr.Dropdown([_ALL, *cleaner.label_names], value=_ALL, label="Labelled", min_width=140)
            splits = sorted({issue.split for issue in cleaner.review.issues})
            split = gr.Dropdown([_ALL, *splits], value=_ALL, label="Split", min_width=140)
            pairs = [(f"{has} → {says} ({n})", f"{has}\n{says}") for (has, says), n in cleaner.review.pairs()]
            pair = gr.Dropdown([(_ALL, _ALL), *pairs], value=_ALL, label="Labelled → models say", min_width=150)
            state = gr.Dropdown([UNDECIDED, DECIDED, ANY], value=UNDECIDED, label="Show", min_width=150)
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                picture = gr.HTML(elem_id="picture")
            with gr.Column(scale=4, min_width=320):
                verdict = gr.HTML(elem_id="verdict")
                with gr.Row(elem_id="answers"):
                    keep = gr.Button("Keep", elem_id="keep", size="md")
                    delete = gr.Button("Delete", elem_id="delete", size="md")
                    suggested = gr.Button("As suggested", elem_id="suggested", variant="primary", size="md")
                with gr.Row(elem_id="labels"):
                    labels = [
                        gr.Button(f"{number} {name}" if number < 10 else name, size="sm", elem_id=f"label-{number}")
                        for number, name in enumerate(cleaner.label_names, start=1)
                    ]
                with gr.Row(elem_id="ways"):
                    previous = gr.Button("← Back", elem_id="previous", size="sm", min_width=70)
                    undo = gr.Button("Undo", elem_id="undo", size="sm", min_width=70)
                    following = gr.Button("Skip →", elem_id="next", size="sm", min_width=70)
                gr.Markdown(_KEYS, elem_id="keys")
                about = gr.HTML(elem_id="about")
        # In the page and not in the server's session, which a restart forgets: what a click is about.
        current = gr.Textbox(visible="hidden", elem_id="current")

        inputs = [current, dance, split, pair, state]
        outputs = [current, progress, picture, verdict, about, suggested]

        def on(listen: Callable[..., Any], act: Callable[..., Any]) -> None:
            listen(_guarded(act), inputs, outputs, api_visibility="private", queue=False, show_progress="hidden")

        on(keep.click, partial(cleaner.decide, "keep", ""))
        on(delete.click, partial(cleaner.decide, "delete", ""))
        on(suggested.click, partial(cleaner.decide, "suggest", ""))
        for button, name in zip(labels, cleaner.label_names, strict=True):
            on(button.click, partial(cleaner.decide, "relabel", name))
        on(undo.click, cleaner.undo)
        on(following.click, partial(cleaner.go, "next"))
        on(previous.click, partial(cleaner.go, "previous"))
        for choice in (dance, split, pair, state):
            on(choice.input, partial(cleaner.go, "begin"))
        on(page.load, partial(cleaner.go, "begin"))
    return page


def serve(cleaner: Cleaner) -> None:
    """Serves the page on this machine alone and opens it in the browser, until Ctrl-C.

    Raises:
        OSError: The port that GRADIO_SERVER_PORT asks for is taken.
    """
    build_page(cleaner).launch(
        theme=_THEME,
        css=(_HERE / "page.css").read_text(encoding="utf-8"),
        head=f"<script>{(_HERE / 'keys.js').read_text(encoding='utf-8')}</script>",
        inbrowser=True,
        show_error=True,
        footer_links=["settings"],
        ssr_mode=False,
    )


_THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.rose,
    neutral_hue=gr.themes.colors.stone,
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
    radius_size=gr.themes.sizes.radius_lg,
)


def _guarded(act: Callable[..., Any]) -> Callable[..., Any]:
    """Says a fault of the decisions' file on the page, which stays as it is: what is not on disk was not decided."""

    def acted(*given: Any) -> Any:
        try:
            return act(*given)
        except UserError as error:
            message = str(error)
        except OSError as error:
            message = f"{error.strerror}: nothing was decided. Make room, then decide again."
        return [gr.skip(), _HTML.problem(message), *[gr.skip()] * 4]

    return acted


def _filters(dance: str, split: str, pair: str, state: str) -> Filters:
    has, _, says = pair.partition("\n")
    return Filters(
        None if dance == _ALL else dance, None if split == _ALL else split, (has, says) if says else None, state
    )


def _token(sha256: str, decision: Decision | None) -> str:
    return f"{sha256}\n{decision.action}\n{decision.label}" if decision else sha256


def _parse(token: str | None) -> tuple[str, Decision | None]:
    sha256, *decided = (token or "").split("\n")
    return sha256, Decision(sha256, *decided) if decided else None
