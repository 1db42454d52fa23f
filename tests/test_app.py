import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from demo.model import load_model
from demo.page import about
from tests.conftest import ROOT, serve


@pytest.fixture(scope="module")
def client(page: str) -> Client:
    return Client(page, verbose=False)


def test_predict_gives_every_class_and_the_models_own_probabilities(client: Client, model_folder: Path) -> None:
    picture = model_folder / "examples" / "kathakali.jpg"
    answer = client.predict(handle_file(picture), api_name="/predict")
    scores = {entry["label"]: entry["confidence"] for entry in answer["confidences"]}
    assert len(scores) == 8
    model = load_model(str(model_folder))
    with Image.open(picture) as image:
        assert scores == pytest.approx(model.by_name(model.answer(image).probs), abs=1e-5)
    assert answer["label"] == max(scores, key=scores.__getitem__)


def test_a_turned_phone_photo_is_seen_upright(client: Client, model_folder: Path, tmp_path: Path) -> None:
    with Image.open(model_folder / "examples" / "odissi.jpg") as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(tmp_path / "upright.png")
        # Stored turned to the left; the tag says: turn it to the right to show it.
        image.rotate(90, expand=True).save(tmp_path / "phone.png", exif=exif)
    upright, phone = (
        client.predict(handle_file(tmp_path / n), api_name="/predict") for n in ("upright.png", "phone.png")
    )
    assert phone == upright


@pytest.mark.parametrize("name", ["grey.png", "palette.gif", "alpha.webp", "cmyk.jpg", "sixteen.png"])
def test_all_kinds_of_pictures_are_read(client: Client, tmp_path: Path, name: str) -> None:
    mode = {"grey": "L", "palette": "P", "alpha": "RGBA", "cmyk": "CMYK", "sixteen": "I;16"}[Path(name).stem]
    Image.new("L" if mode == "I;16" else "RGB", (80, 60), 90).convert(mode).save(tmp_path / name)
    assert len(client.predict(handle_file(tmp_path / name), api_name="/predict")["confidences"]) == 8


@pytest.mark.parametrize(
    "content", [b"<html>not a picture</html>", b"", b"\xff\xd8\xff\xe0" + b"\0" * 50, b"<svg></svg>"]
)
def test_a_bad_file_gets_one_friendly_sentence(client: Client, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.jpg").write_bytes(content)
    with pytest.raises(AppError, match="can't be read as a picture") as error:
        client.predict(handle_file(tmp_path / "bad.jpg"), api_name="/predict")
    assert "/tmp" not in str(error.value)


def test_the_page_says_what_the_model_is_and_never_where_it_lies(model_folder: Path) -> None:
    model = load_model(str(model_folder))
    metrics = json.loads((model_folder / "metrics.json").read_text())["test"]
    text = about(model)
    assert "test_resnet, trained on “Dances”" in text
    assert f"**{metrics['accuracy']:.0%}** of 8 test drawings" in text
    assert str(model_folder.parent) not in text


def test_a_model_that_was_not_judged_says_so(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / "metrics.json").unlink()
    assert "not judged on a test split yet" in about(load_model(str(folder)))


@pytest.mark.parametrize(
    ("model_id", "message"),
    [
        ("", "set MODEL_ID to a model folder or a Hub id"),
        ("nobody/nothing", "MODEL_ID=nobody/nothing is no folder here, and the Hub does not give it"),
        ("tests", "MODEL_ID=tests is no model folder (it has no config.json)"),
    ],
)
def test_a_wrong_model_id_is_one_line(model_id: str, message: str) -> None:
    answer = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "MODEL_ID": model_id},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"error: {message}")
    assert len(answer.stderr.strip().splitlines()) == 1


def test_a_port_that_is_taken_gives_way_to_the_next(page: str, model_folder: Path) -> None:
    with serve(model_folder) as second:
        assert int(second.rsplit(":", 1)[1]) > int(page.rsplit(":", 1)[1])


def test_a_port_that_can_not_be_had_is_one_line(model_folder: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "MODEL_ID": str(model_folder), "GRADIO_SERVER_PORT": "99999"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 2
    assert answer.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in answer.stderr
