"""From a file to an answer: read, classify, judge; the same for a visitor and for a program."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from demo.models.model import Answer, NoNumbersError, ServedModel
from demo.reading.files import File, name_of, path_of
from demo.reading.upload import UnreadableError, read_upload
from demo.telling.examples import jpeg_uri
from demo.telling.many import Row
from demo.telling.verdict import Verdict, judge
from demo.words import Words
from model_folder.facts import read_prediction_sets, read_threshold
from model_folder.reference_features import Nearest

_THUMBNAIL = 200


@dataclass(frozen=True)
class Answered:
    """A picture and what the model says of it.

    Attributes:
        image: The picture, upright RGB.
        answer: As the model gave it.
        probs: By label, 0 to 1.
        verdict: What follows from them, and from how far it is from everything learned.
        nearest: The training pictures that look most like it; None where nobody can tell.
    """

    image: Image.Image
    answer: Answer
    probs: dict[str, float]
    verdict: Verdict
    nearest: Nearest | None

    @property
    def likeliest(self) -> str:
        """The likeliest class."""
        return max(self.probs, key=lambda label: self.probs[label])


class Answering:
    """Answers with one model."""

    def __init__(self, model: ServedModel) -> None:
        """Takes the model; its folder says when it is sure, and of what."""
        self.model, self.threshold = model, read_threshold(model.config)
        self.sets = read_prediction_sets(model.config, model.test)

    def answer(self, path: Path) -> Answered:
        """Answers about a file.

        Raises:
            UnreadableError: It is no picture to look at.
            NoNumbersError: The model gives no numbers for it.
        """
        image = read_upload(path)
        answer = self.model.answer(image)
        probs = self.model.by_name(answer.probs)
        nearest, reference = self.model.nearest(answer), self.model.reference
        ood = bool(reference and nearest and reference.is_ood(nearest)[0])
        return Answered(image, answer, probs, judge(probs, self.threshold, ood, self.sets), nearest)

    def row(self, file: File, words: Words) -> Row:
        """Answers about one of many files, whatever becomes of it."""
        name = name_of(file)
        try:
            answered = self.answer(path_of(file))
        except (UnreadableError, NoNumbersError) as error:
            return Row(name, fault=explain(error, words))
        return Row(name, answered.verdict, answered.probs, jpeg_uri(answered.image, _THUMBNAIL))


def explain(error: UnreadableError | NoNumbersError, words: Words) -> str:
    """Returns a sentence for the visitor on why there is no answer."""
    if isinstance(error, NoNumbersError):
        return words("no_numbers")
    return words(error.key) if error.key in words else str(error)
