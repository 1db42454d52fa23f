import shutil
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from demo import feedback as feedback_module
from demo.answering import Answering
from demo.events import Events
from demo.feedback import Subject
from demo.models.model import ServedModel, load_model
from demo.telling.many import MOST
from files.atomic import only_writer

ENGLISH, HINDI = gr.Request(headers={"accept-language": "en"}), gr.Request(headers={"accept-language": "hi-IN"})


@pytest.fixture(scope="module")
def served(model_folder: Path) -> ServedModel:
    return load_model(str(model_folder))


@pytest.fixture
def events(served: ServedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Events:
    """The events of a page that keeps what visitors say."""
    monkeypatch.setenv("FEEDBACK_DIR", str(tmp_path / "feedback"))
    return Events(served, Answering(served))


def _upload(tmp_path: Path, served: ServedModel, name: str = "upload.jpg") -> dict[str, Any]:
    path = tmp_path / name
    shutil.copy(served.examples[0], path)
    return {"path": str(path), "orig_name": name}


def test_an_answer_shows_the_upload_itself_where_browsers_can(
    events: Events, served: ServedModel, tmp_path: Path
) -> None:
    photo, html, subject, dance, consent, said = events.answer_photo(_upload(tmp_path, served, "a b.jpg"), ENGLISH)
    assert photo == gr.skip()
    assert f'src="gradio_api/file={tmp_path}/a%20b.jpg"' in html
    assert subject.path == tmp_path / "a b.jpg"
    assert (dance, consent, said) == (None, False, "")


def test_an_answer_shows_a_copy_where_browsers_can_not(events: Events, served: ServedModel, tmp_path: Path) -> None:
    with Image.open(served.examples[0]) as image:
        # Its name says nothing: what counts is what it is.
        image.resize((2000, 1000)).save(tmp_path / "photo.jpg", "HEIF")
    photo, html, *_ = events.answer_photo({"path": str(tmp_path / "photo.jpg")}, ENGLISH)
    assert photo.size == (1024, 512)
    assert "gradio_api/file" not in html
    assert "data:image/jpeg;base64," in html


@pytest.mark.parametrize("index", [None, "0", -1, 10**6, 1.0, True, [0]])
def test_an_example_that_is_not_there_is_none(events: Events, index: object) -> None:
    _, html, *_ = events.answer_example(gr.EventData(None, {"index": index}), ENGLISH)
    assert "The answer appears here." in html


@pytest.mark.parametrize("data", [None, [], {}, "index"])
def test_a_click_without_a_number_is_none(events: Events, data: object) -> None:
    _, html, *_ = events.answer_example(gr.EventData(None, data), ENGLISH)
    assert "The answer appears here." in html


def test_nobody_speaks_about_an_example(events: Events) -> None:
    _, html, subject, *_ = events.answer_example(gr.EventData(None, {"index": 0}), ENGLISH)
    assert "width:" in html
    assert subject is None
    assert "Give a picture of your own first." in events.keep_yes(subject, True, ENGLISH)


def test_of_too_many_files_the_first_are_answered(events: Events, served: ServedModel, tmp_path: Path) -> None:
    files = [_upload(tmp_path, served, f"{number}.jpg") for number in range(2)] * MOST
    html = events.answer_many(files, HINDI, gr.Progress())
    assert f"{2 * MOST} फ़ाइलें" in html
    assert f"{MOST} के उत्तर मिले" in html


def _subject(tmp_path: Path, served: ServedModel) -> Subject:
    return Subject(Path(_upload(tmp_path, served)["path"]), served.label_names[0], 0.9)


def test_a_class_that_is_none_is_not_kept(events: Events, served: ServedModel, tmp_path: Path) -> None:
    for label in (None, "", "waltz", "../kathak"):
        assert "Choose the dance first." in events.keep_no(_subject(tmp_path, served), label, True, ENGLISH)
    assert list((tmp_path / "feedback").rglob("*.jpg")) == []


def test_what_can_not_be_kept_is_said(
    events: Events, served: ServedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = _subject(tmp_path, served)
    assert events.feedback is not None
    events.feedback.limit = 0
    assert "There is no room for more answers here." in events.keep_yes(subject, False, ENGLISH)
    events.feedback.limit = 10**9
    monkeypatch.setattr(feedback_module, "_SECONDS", 0.05)
    with only_writer(tmp_path / "feedback" / "corrections.csv"):
        assert "Too many answers at once." in events.keep_yes(subject, False, ENGLISH)
    (tmp_path / "feedback" / "corrections.csv").unlink()
    (tmp_path / "feedback" / "corrections.csv").mkdir()
    assert "Your answer could not be kept." in events.keep_yes(subject, False, ENGLISH)
    subject.path.unlink()
    for with_picture in (False, True):
        assert "यह तस्वीर अब यहाँ नहीं है" in events.keep_yes(subject, with_picture, HINDI)
