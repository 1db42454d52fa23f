import asyncio
import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError, ValidationError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent
from PIL import Image

from demo.answering import Answering
from demo.models.model import load_model
from demo.serving.calls import NO_ADDRESSES, NO_PICTURE
from demo.telling.many import MOST
from demo.words import LANGUAGES
from model_folder.facts import read_dances
from tests.conftest import ROOT, serve
from tests.demo.conftest import data_url


@pytest.fixture(scope="module")
def client(page: str) -> Client:
    return Client(page, verbose=False)


def test_predict_gives_every_class_the_models_own_probabilities_and_a_sentence(
    client: Client, model_folder: Path
) -> None:
    picture = model_folder / "examples" / "kathakali.jpg"
    answer, verdict, prediction_set = client.predict(handle_file(picture), api_name="/predict")
    scores = {entry["label"]: entry["confidence"] for entry in answer["confidences"]}
    assert len(scores) == 8
    model = load_model(str(model_folder))
    with Image.open(picture) as image:
        assert scores == pytest.approx(model.by_name(model.answer(image).probs), abs=1e-5)
    assert answer["label"] == max(scores, key=scores.__getitem__)
    answered = Answering(model).answer(picture)
    assert verdict == answered.verdict.sentence(read_dances(model.config), LANGUAGES["en"])
    cut = model.config["prediction_set"]["value"]
    assert (cut is None) == (prediction_set == [])


def test_endpoints_are_documented_and_only_those_for_programs(client: Client) -> None:
    told = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(told) == {"/predict", "/predict_many"}
    (image,) = told["/predict"]["parameters"]
    assert (image["parameter_name"], image["python_type"]["type"]) == ("image", "filepath")
    assert [output["label"] for output in told["/predict"]["returns"]] == [
        "probabilities",
        "verdict",
        "prediction_set",
    ]
    (images,) = told["/predict_many"]["parameters"]
    assert (images["parameter_name"], images["python_type"]["type"]) == ("images", "list[filepath]")
    for endpoint in told.values():
        assert "Bharatanatyam" in endpoint["description"]
        assert "drawings" in endpoint["description"]


def test_predict_many_answers_about_all_but_the_bad_one(client: Client, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("not a picture")
    pictures = [
        model_folder / "examples" / "kathak.jpg",
        tmp_path / "bad.jpg",
        model_folder / "examples" / "odissi.jpg",
    ]
    rows = client.predict([handle_file(path) for path in pictures], api_name="/predict_many")
    assert [row["file"] for row in rows] == ["kathak.jpg", "bad.jpg", "odissi.jpg"]
    assert [row["error"] is None for row in rows] == [True, False, True]
    assert rows[1]["verdict"] is None
    answer, verdict, prediction_set = client.predict(handle_file(pictures[0]), api_name="/predict")
    assert (rows[0]["verdict"], rows[0]["prediction_set"]) == (verdict, prediction_set)
    assert rows[0]["probabilities"] == pytest.approx({e["label"]: e["confidence"] for e in answer["confidences"]})


def test_too_many_at_once_are_refused(client: Client, model_folder: Path) -> None:
    files = [handle_file(model_folder / "examples" / "kathak.jpg")] * (MOST + 1)
    with pytest.raises(AppError, match="101 files are too many: send 100 at a time"):
        client.predict(files, api_name="/predict_many")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("kathak", NO_PICTURE),
        ("pictures/kathak.jpg", NO_PICTURE),
        ("/etc/hostname", NO_PICTURE),
        (base64.b64encode(b"\xff\xd8\xff" + bytes(3000)).decode(), NO_PICTURE),
        ("https://example.org/kathak.jpg", NO_ADDRESSES),
        (handle_file("https://example.org/kathak.jpg"), NO_ADDRESSES),
        ("data:image/jpeg;base64,x", "This data: URL can't be decoded: give one in base64."),
        ("data:image/jpeg", "This data: URL can't be decoded: give one in base64."),
        (b"\xff\xd8\xff".hex(), NO_PICTURE),
        (7, NO_PICTURE),
        ({"path": "/etc/hostname"}, LANGUAGES["en"]("gone")),
    ],
)
def test_what_is_no_picture_gets_a_sentence(client: Client, given: object, sentence: str) -> None:
    for name, value in (("image", given), ("images", [given])):
        endpoint = "/predict" if name == "image" else "/predict_many"
        with pytest.raises(ValidationError) as refused:
            client.predict(value, api_name=endpoint)
        assert str(refused.value).splitlines() == ["1 parameter(s) failed validation:", f"- {name}: {sentence}"]


def test_a_data_url_is_answered_as_an_upload_is(client: Client, page: str, model_folder: Path) -> None:
    picture = model_folder / "examples" / "odissi.jpg"
    url = data_url(picture.read_bytes(), "image/jpeg")
    uploaded = client.predict(handle_file(picture), api_name="/predict")
    for given in (url, {"path": url}, {"url": url, "orig_name": "odissi.jpg"}):
        assert client.predict(given, api_name="/predict") == uploaded
    for path, call in (("call/predict", {"data": [url]}), ("call/v2/predict", {"image": url})):
        event = httpx.post(f"{page}/gradio_api/{path}", json=call).raise_for_status().json()["event_id"]
        said = httpx.get(f"{page}/gradio_api/call/predict/{event}").text
        assert json.loads(said.partition("event: complete\ndata: ")[2]) == list(uploaded)
    rows = client.predict([url, {"url": url, "orig_name": "odissi.jpg"}], api_name="/predict_many")
    assert [(row["file"], row["verdict"]) for row in rows] == [("picture", uploaded[1]), ("odissi.jpg", uploaded[1])]
    with pytest.raises(AppError, match="it is damaged or incomplete"):
        client.predict(data_url(picture.read_bytes()[:1000]), api_name="/predict")


def test_curl_alone_gets_an_answer(page: str, model_folder: Path) -> None:
    def curl(*words: str) -> str:
        done = subprocess.run(["curl", "-sS", "--fail", "--max-time", "30", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    picture = model_folder / "examples" / "odissi.jpg"
    (path,) = json.loads(curl("-F", f"files=@{picture}", f"{page}/gradio_api/upload"))
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    call = ["-H", "Content-Type: application/json", "-d", json.dumps({"data": [file]})]
    event = json.loads(curl(*call, f"{page}/gradio_api/call/predict"))["event_id"]
    said = curl("-N", f"{page}/gradio_api/call/predict/{event}")
    answer, verdict, _ = json.loads(said.partition("event: complete\ndata: ")[2])
    assert len(answer["confidences"]) == 8
    assert verdict


def test_a_language_model_is_told_what_the_tool_does(page: str) -> None:
    told = {tool["name"]: tool for tool in httpx.get(f"{page}/gradio_api/mcp/schema").json()}
    assert set(told) == {"predict", "predict_many"}
    assert "gets one of these names, too" in told["predict"]["description"]
    assert "at most 20 MB" in told["predict"]["inputSchema"]["properties"]["image"]["description"]
    assert "at most a hundred" in told["predict_many"]["inputSchema"]["properties"]["images"]["description"]


def test_a_language_model_gets_an_answer(page: str, model_folder: Path) -> None:
    picture = data_url((model_folder / "examples" / "odissi.jpg").read_bytes(), "image/jpeg")

    async def ask() -> list[str]:
        async with (
            streamable_http_client(f"{page}/gradio_api/mcp/") as (reads, writes, _),
            ClientSession(reads, writes) as session,
        ):
            await session.initialize()
            answer = await session.call_tool("predict", {"image": picture})
            assert not answer.isError, answer
            return [part.text for part in answer.content if isinstance(part, TextContent)]

    (said,) = asyncio.run(ask())
    assert said.count("'confidence':") == 8
    assert "Not sure: " in said


def test_visitors_are_asked_for_their_word_only_where_it_is_kept(
    page: str, model_folder: Path, tmp_path: Path
) -> None:
    def components(address: str) -> list[str]:
        return [c["props"].get("elem_id") for c in httpx.get(f"{address}/config").json()["components"]]

    assert "feedback" not in components(page)
    with serve(model_folder, FEEDBACK_DIR=str(tmp_path / "feedback")) as asking:
        assert "feedback" in components(asking)
        assert len(Client(asking, verbose=False).view_api(return_format="dict")["named_endpoints"]) == 2


def test_a_place_for_feedback_that_can_not_be_written_to_is_one_line(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "MODEL_ID": str(model_folder), "FEEDBACK_DIR": str(tmp_path / "file")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1].startswith(f"error: FEEDBACK_DIR={tmp_path / 'file'} can't be written to")
    assert "Traceback" not in answer.stderr


def test_the_page_needs_no_training_library() -> None:
    heavy = "{'torch', 'transformers', 'timm', 'matplotlib', 'datasets', 'sklearn'}"
    code = f"import demo.page, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


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


@pytest.mark.parametrize(
    "name", ["grey.png", "palette.gif", "alpha.webp", "cmyk.jpg", "sixteen.png", "phone.heic", "scan.tiff", "new.avif"]
)
def test_all_kinds_of_pictures_are_read(client: Client, tmp_path: Path, name: str) -> None:
    modes = {"grey": "L", "palette": "P", "alpha": "RGBA", "cmyk": "CMYK", "sixteen": "I;16"}
    mode = modes.get(Path(name).stem, "RGB")
    Image.new("L" if mode == "I;16" else "RGB", (80, 60), 90).convert(mode).save(tmp_path / name)
    answer, verdict, _ = client.predict(handle_file(tmp_path / name), api_name="/predict")
    assert len(answer["confidences"]) == 8
    assert verdict


@pytest.mark.parametrize(
    "content", [b"<html>not a picture</html>", b"", b"\xff\xd8\xff\xe0" + b"\0" * 50, b"<svg></svg>"]
)
def test_a_bad_file_gets_one_friendly_sentence(client: Client, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.jpg").write_bytes(content)
    with pytest.raises(AppError, match="can't be read as a picture") as error:
        client.predict(handle_file(tmp_path / "bad.jpg"), api_name="/predict")
    assert "/tmp" not in str(error.value)


@pytest.mark.parametrize(
    ("model_id", "message"),
    [
        ("", "set MODEL_ID to a model folder or a Hub id"),
        ("nobody/nothing", "MODEL_ID=nobody/nothing is no folder here, and the Hub does not give it"),
        ("tests", "MODEL_ID=tests is no model folder: it has no config.json"),
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
