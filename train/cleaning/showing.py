"""What the page shows of a picture, as HTML; what a dataset says is text there, never markup."""

import base64
import io
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
import jinja2
from PIL import Image, UnidentifiedImageError

from train.cleaning.decisions import Decision
from train.cleaning.review import Progress, Review
from train.fitting.data import image_bytes
from train.fitting.pool import Pool
from train.judging.label_issues import LabelIssue
from train.judging.predict import Predictions

_SIDE, _THUMBNAIL = 900, 128
_MOST_COPIES, _MOST_BARS = 6, 3
_ENVIRONMENT = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
_HTML: Any = _ENVIRONMENT.from_string(Path(__file__).with_suffix(".html").read_text(encoding="utf-8")).module


class Showing:
    """Shows the pictures of a pool."""

    def __init__(self, pool: Pool, predictions: Predictions, review: Review) -> None:
        """Takes the pictures, what models say of each, and their order."""
        self.review, self.predictions = review, predictions
        self.rows = pool.rows.cast_column("image", datasets.Image(decode=False))
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
        shares = dict(zip(self.predictions.label_names, self.predictions.probs[issue.index].tolist(), strict=True))
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

    @staticmethod
    def progress(progress: Progress, said: str) -> str:
        """Returns how far the review has come, and a sentence on what was just done."""
        return _HTML.progress(progress=progress, done=sum(progress.decided.values()), said=said)

    @staticmethod
    def problem(said: str) -> str:
        """Returns what stands in the place of the progress when something could not be done."""
        return _HTML.problem(said)

    @staticmethod
    def all_done(path: str, dataset: str, run: str, filtered: bool) -> str:
        """Returns what stands there when no picture is left."""
        return _HTML.all_done(path=path, dataset=dataset, run=run, filtered=filtered)

    def _make_uri(self, index: int, side: int) -> str | None:
        try:
            with Image.open(io.BytesIO(image_bytes(self.rows[index]["image"]))) as picture:
                small = picture.convert("RGB")
                small.thumbnail((side, side))
        except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
            return None
        file = io.BytesIO()
        small.save(file, "JPEG", quality=88)
        return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
