"""What happens on the page when a visitor does something; every event is one trip to the server."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from demo.answering import Answered, Answering, explain
from demo.feedback import Feedback, FullError, Subject, open_feedback
from demo.models.model import NoNumbersError, ServedModel
from demo.reading.files import File, path_of
from demo.reading.upload import UnreadableError
from demo.telling.examples import jpeg_uri, read_examples
from demo.telling.many import MOST
from demo.telling.nearest import neighbourhood
from demo.telling.showing import Heat, Showing, heat_over, note
from demo.words import Words, languages_of, words_for
from files.atomic import BusyError, OutputFolderError
from model_folder.facts import read_confusions, read_crop, read_dances, read_pair

_PREVIEW = 1024
# How files begin that every browser shows by itself: JPEG, PNG, GIF, WebP, BMP.
_BROWSERS_SHOW = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM")


class Events:
    """What the page of one model does: methods take what components hold, and return what others are to show.

    Attributes:
        dances: What there is to tell about its classes.
        languages: What the page says, by language.
        showing: Turns answers into HTML.
        examples: Pictures to offer.
        feedback: Where visitors' words are kept; None where nobody asks for them.
    """

    def __init__(self, model: ServedModel, answering: Answering) -> None:
        """Takes the model and who answers for it.

        Raises:
            FeedbackError: FEEDBACK_DIR names a folder that can't be written to.
        """
        self._answering, self._crop = answering, read_crop(model.config)
        self.dances = read_dances(model.config)
        self.languages = languages_of(self.dances)
        mistakes = (read_confusions(model.test, model.label_names), read_pair(model.test, model.label_names))
        self.showing = Showing(self.dances, *mistakes, answering.sets)
        self.examples = read_examples(model.examples)
        self.feedback: Feedback | None = open_feedback(model.label_names, model.name)

    def answer_photo(self, photo: File | None, request: gr.Request) -> list[Any]:
        """Answers about the picture that a visitor has given, or has taken away."""
        words = self._words(request)
        if photo is None:
            return self._outputs(gr.skip(), self.showing.waiting(words))
        try:
            path = path_of(photo)
            answered = self._answering.answer(path)
        except (UnreadableError, NoNumbersError) as error:
            return self._outputs(gr.skip(), self.showing.fault(words, explain(error, words)))
        shown = _begins(path, _BROWSERS_SHOW)
        html = self._html(words, answered, f"gradio_api/file={quote(str(path))}" if shown else "")
        subject = Subject(path, answered.likeliest, answered.probs[answered.likeliest])
        return self._outputs(gr.skip() if shown else _preview(answered), html, subject)

    def answer_example(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Answers about one of the pictures that the page offers."""
        words, index = self._words(request), event._data.get("index") if isinstance(event._data, dict) else None
        if type(index) is not int or not 0 <= index < len(self.examples):
            return self._outputs(gr.skip(), self.showing.waiting(words))
        path = self.examples[index].path
        try:
            answered = self._answering.answer(path)
        except (UnreadableError, NoNumbersError) as error:
            return self._outputs(None, self.showing.fault(words, explain(error, words)))
        return self._outputs(str(path), self._html(words, answered, ""))

    def answer_many(
        self,
        photos: list[File] | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio knows that there is some
    ) -> str:
        """Answers about many pictures; one that can't be read does not stop the others."""
        words, files = self._words(request), photos or []
        if not files:
            return self.showing.many(words, [], words("many_waiting"))
        rows = [self._answering.row(file, words) for file in progress.tqdm(files[:MOST], desc=words("many_progress"))]
        too_many = words("many_too_many", count=len(files), most=MOST) if len(files) > MOST else ""
        return self.showing.many(words, rows, too_many)

    def keep_yes(self, subject: Subject | None, with_picture: bool, request: gr.Request) -> str:
        """Keeps that the model was right."""
        return self._keep(subject, subject.predicted if subject else None, with_picture, self._words(request))

    def keep_no(self, subject: Subject | None, label: str | None, with_picture: bool, request: gr.Request) -> str:
        """Keeps what the visitor says that it was."""
        return self._keep(subject, label, with_picture, self._words(request))

    def _words(self, request: gr.Request) -> Words:
        return words_for(request.headers.get("accept-language"), self.languages)

    def _keep(self, subject: Subject | None, label: str | None, with_picture: bool, words: Words) -> str:
        assert self.feedback is not None, "without a place to keep answers, nobody asks for them"
        fault = None
        if subject is None:
            fault = "feedback_first"
        elif label not in self.dances:
            fault = "feedback_choose"
        else:
            try:
                self.feedback.keep(subject, label, with_picture)
            except FullError:
                fault = "feedback_full"
            except BusyError:
                fault = "feedback_busy"
            except (FileNotFoundError, UnreadableError):
                fault = "gone"
            except (OSError, OutputFolderError):
                fault = "feedback_failed"
        if fault:
            return note(words, words(fault), "fault")
        kept = with_picture and self.feedback.takes_pictures
        return note(words, words("feedback_thanks_picture" if kept else "feedback_thanks"))

    def _outputs(self, photo: Any, html: str, subject: Subject | None = None) -> list[Any]:
        # With a new picture, what was said of the last one goes, and so does the consent to keep it.
        return [photo, html, *([subject, None, False, ""] if self.feedback else [])]

    def _html(self, words: Words, answered: Answered, picture: str) -> str:
        reference, learned = self._answering.model.reference, self._answering.model.learned
        dances = words.tell(self.dances)
        near = neighbourhood(answered.nearest, reference.threshold if reference else None, learned, dances)
        heat = self._heat(answered, picture, dances[answered.likeliest].name)
        return self.showing.answer(words, answered.verdict, answered.probs, heat, near)

    def _heat(self, answered: Answered, picture: str, dance: str) -> Heat | None:
        heatmap, image = answered.answer.heatmap, answered.image
        if heatmap is None:
            return None
        return heat_over(heatmap, image.size, self._crop, dance, picture or jpeg_uri(image, _PREVIEW))


def _begins(path: Path, signatures: tuple[bytes, ...]) -> bool:
    with path.open("rb") as file:
        return file.read(8).startswith(signatures)


def _preview(answered: Answered) -> Any:
    small = answered.image.copy()
    small.thumbnail((_PREVIEW, _PREVIEW))
    return small
