"""What programs may ask of the page, language models among them: in English, whoever asks."""

from collections.abc import Mapping

import gradio as gr

from demo.answering import Answering, explain
from demo.models.model import NoNumbersError
from demo.reading.files import File, path_of
from demo.reading.upload import UnreadableError
from demo.telling.many import MOST, as_json
from demo.telling.verdict import percent
from demo.words import ENGLISH, LANGUAGES, languages_of
from model_folder.facts import Dance, PredictionSets

_ONE = (
    "{task} {limits} Returns three values: `probabilities`, with the likeliest class as `label` and every class with "
    "its calibrated probability (0 to 1) as `confidences`, the likeliest first; `verdict`, a sentence such as "
    "{verdicts}; and `prediction_set`, {sets}."
)
_MANY = (
    "{task} {limits} Returns a list with an object per file: `file` (its name), "
    "`verdict` (a sentence such as {verdicts}), `probabilities` (by class, 0 to 1), `prediction_set` ({sets}) and "
    "`error` (why a file has no answer, else null)."
)
_SETS = "a list of the classes that it may be, the likeliest first{promise}"
_PROMISE = (
    ", which holds the right one for {coverage} % of pictures like those of the model's dataset{elsewhere}; empty "
    "where the picture looks like none of them"
)
_ELSEWHERE = ", and was measured to hold it for {percent} % of {pictures} pictures from elsewhere"
_DANCES = (
    "Tell which classical dance of India a picture of a dancer shows.",
    "Tell which classical dance of India each of several pictures shows.",
    "It knows {names}, and nothing else: a picture of another dance gets one of these names, too, and a picture of no "
    "dance may. Where the verdict begins with 'Not sure' or 'This doesn't', do not report a dance as the answer.",
)
_OTHER_CLASSES = (
    "Tell which class a picture belongs to.",
    "Tell which class each of several pictures belongs to.",
    "It knows {names}, and nothing else: a picture of something else may get one of these names, too. Where the "
    "verdict begins with 'Not sure' or 'This doesn't', do not report a class as the answer.",
)
_DRAWINGS = " This model has learned from drawings alone; what it says about a photograph means nothing."


class Programs:
    """The endpoints of one model's page."""

    def __init__(self, answering: Answering, dances: Mapping[str, Dance]) -> None:
        """Takes who answers, and the names of its classes."""
        self._answering, self._dances = answering, dances
        self._words = languages_of(dances)[ENGLISH]
        one, many, limits = _DANCES if self._words is LANGUAGES[ENGLISH] else _OTHER_CLASSES
        names = [dance.name for dance in dances.values()]
        limits = limits.format(names=", ".join(names)) + (_DRAWINGS if answering.model.drawings else "")
        first, last = names[0], names[-1]
        verdicts = f"'{first}, 93 %', 'Not sure: {last} or {first}' or '{self._words('ood')}'"
        told = {"limits": limits, "verdicts": verdicts, "sets": _describe_sets(answering.sets)}
        self.about_one, self.about_many = _ONE.format(task=one, **told), _MANY.format(task=many, **told)

    def predict(self, image: File | None) -> tuple[dict[str, float], str, list[str]]:
        """Tell which classical dance of India a picture of a dancer shows.

        Args:
            image: One dancer; JPEG, PNG, WebP, GIF, TIFF or HEIC, at most 20 MB; an upload or data: URL, no other.
        """
        if image is None:
            raise gr.Error("There is no picture.", print_exception=False)
        try:
            answered = self._answering.answer(path_of(image))
        except (UnreadableError, NoNumbersError) as error:
            raise gr.Error(explain(error, self._words), print_exception=False) from None
        verdict = answered.verdict
        return answered.probs, verdict.sentence(self._dances, self._words), list(verdict.prediction_set)

    def predict_many(self, images: list[File] | None) -> list[dict[str, object]]:
        """Tell which classical dance of India each of several pictures shows.

        Args:
            images: A list of at most a hundred files, each as for a single picture; data: URLs have 20 MB together.
        """
        files = images or []
        if len(files) > MOST:
            raise gr.Error(f"{len(files)} files are too many: send {MOST} at a time.", print_exception=False)
        return [as_json(self._answering.row(file, self._words), self._dances) for file in files]


def _describe_sets(sets: PredictionSets | None) -> str:
    if sets is None:
        return "an empty list, for this model has no prediction sets"
    elsewhere = ""
    if sets.elsewhere is not None:
        elsewhere = _ELSEWHERE.format(percent=percent(sets.elsewhere), pictures=sets.pictures)
    return _SETS.format(promise=_PROMISE.format(coverage=percent(sets.coverage), elsewhere=elsewhere))
