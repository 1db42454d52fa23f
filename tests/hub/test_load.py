"""One model, every loader, every place: the same names and the same probabilities."""

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT, serve
from tests.hub.conftest import ask
from tests.minihub.fixture import RunningHub

# Prints {loader: {label: probability}} for one picture and one place of the model.
LOADERS = """
import json, sys
import timm, torch
from pathlib import Path
from huggingface_hub import snapshot_download
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

place, picture = PLACE, Image.open(PICTURE).convert("RGB")
is_folder = Path(place).is_dir()
answers = {}

def keep(loader, names, logits):
    answers[loader] = dict(zip(names, logits.softmax(-1)[0].tolist()))

with torch.inference_mode():
    model = timm.create_model(f"local-dir:{place}" if is_folder else f"hf-hub:{place}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    pixels = transform(picture).unsqueeze(0)
    keep("timm", model.pretrained_cfg["label_names"], model(pixels))

    auto = AutoModelForImageClassification.from_pretrained(place).eval()
    inputs = AutoImageProcessor.from_pretrained(place)(picture)
    keep("auto", [auto.config.id2label[n] for n in range(auto.config.num_labels)], auto(**inputs).logits)

    files = ["config.json", "model.safetensors"]
    folder = Path(place if is_folder else snapshot_download(place, allow_patterns=files))
    config = json.loads((folder / "config.json").read_text())
    plain = timm.create_model(config["architecture"], num_classes=config["num_classes"]).eval()
    plain.load_state_dict(load_file(folder / "model.safetensors"))
    keep("safetensors", config["label_names"], plain(pixels))

classify = pipeline("image-classification", model=place)
answers["pipeline"] = {a["label"]: a["score"] for a in classify(picture, top_k=config["num_classes"])}
print(json.dumps(answers))
"""


def _answers(hub: RunningHub, place: str, picture: Path, **identity: object) -> dict[str, dict[str, float]]:
    code = LOADERS.replace("PLACE", repr(place)).replace("PICTURE", repr(str(picture)))
    return json.loads(ask(hub, code, **identity).splitlines()[-1])


def _page(model_id: str, picture: Path, **environment: str) -> dict[str, float]:
    from gradio_client import Client, handle_file

    with serve(model_id, **environment) as address:
        answer, *_ = Client(address, verbose=False).predict(handle_file(picture), api_name="/predict")
    return {entry["label"]: entry["confidence"] for entry in answer["confidences"]}


@pytest.fixture(scope="module")
def picture(model_folder: Path) -> Path:
    return model_folder / "examples" / "manipuri.jpg"


@pytest.fixture(scope="module")
def expected(hub: RunningHub, model_folder: Path, picture: Path) -> dict[str, float]:
    answers = _answers(hub, str(model_folder), picture)
    answers["page"] = _page(str(model_folder), picture)
    _assert_close(answers, answers["timm"])
    return answers["timm"]


def _assert_close(answers: dict[str, dict[str, float]], expected: dict[str, float]) -> None:
    for place, answer in answers.items():
        # The page answers through model.onnx, which resizes by itself.
        assert answer == pytest.approx(expected, abs=2e-3 if place.startswith("page") else 1e-5), place


@pytest.fixture(scope="module")
def public_model(hub: RunningHub, model_folder: Path) -> str:
    from tests.hub.conftest import push

    push(hub, "train", model_folder, "alice/everybody", "--public", "--tag", "v1")
    return "alice/everybody"


def test_from_the_hub_for_everybody(
    hub: RunningHub, public_model: str, picture: Path, expected: dict[str, float], tmp_path: Path
) -> None:
    answers = _answers(hub, public_model, picture, token=None, home=tmp_path)
    environment = hub.environment(token=None, home=tmp_path)
    answers["page"] = _page(f"{public_model}@v1", picture, **environment)
    code = "from demo.models.model import load_model; from huggingface_hub import HfApi; "
    code += f"model = load_model('{public_model}@v1'); print(model.name, model.repo_id, "
    code += f"model.revision == HfApi().model_info('{public_model}').sha)"
    assert ask(hub, code, token=None, home=tmp_path) == f"{public_model}@v1 {public_model} True"
    _assert_close(answers, expected)


def test_private_with_a_token_and_then_from_the_cache_without_the_hub(
    hub: RunningHub, pushed_model: str, picture: Path, expected: dict[str, float], tmp_path: Path
) -> None:
    answers = _answers(hub, pushed_model, picture, home=tmp_path)
    answers["page"] = _page(pushed_model, picture, **hub.environment(home=tmp_path))
    served = len(hub.log())
    offline = {**hub.environment(home=tmp_path), "HF_HUB_OFFLINE": "1"}
    answers["page, offline"] = _page(pushed_model, picture, **offline)
    import subprocess
    import sys

    code = LOADERS.replace("PLACE", repr(pushed_model)).replace("PICTURE", repr(str(picture)))
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=offline, capture_output=True, text=True, check=True
    )
    answers |= {f"{loader}, offline": a for loader, a in json.loads(said.stdout.splitlines()[-1]).items()}
    assert len(hub.log()) == served
    assert len(answers) == 10
    _assert_close(answers, expected)


def test_private_is_refused_without_a_token(hub: RunningHub, pushed_model: str) -> None:
    from tests.hub.conftest import run

    code = (
        f"import os, runpy; os.environ['MODEL_ID'] = '{pushed_model}'; runpy.run_path('app.py', run_name='__main__')"
    )
    answer = run(hub, "-c", code, token=None)
    assert answer.returncode == 2
    assert "there is no such repository, or the token may not see it" in answer.stderr


def test_training_and_judging_from_the_hub_with_a_revision(
    hub: RunningHub, dataset_folder: Path, tmp_path: Path
) -> None:
    from tests.hub.conftest import push, run

    push(hub, "dataset_card", dataset_folder, "alice/lessons", "--tag", "v1")
    words = ["dataset=alice/lessons@v1", f"output_dir={tmp_path / 'run'}"]
    answer = run(hub, "-m", "train", "fit", "recipes/debug.yaml", *words, home=tmp_path / "home")
    assert answer.returncode == 0, answer.stderr
    config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert config["training_data"]["id"] == "alice/lessons"
    assert config["training_data"]["drawings"] is True
    push(hub, "train", tmp_path / "run" / "model", "alice/learned", "--tag", "v1")
    judge = ["alice/learned@v1", "dataset=alice/lessons@v1", f"output_dir={tmp_path / 'judged'}"]
    answer = run(hub, "-m", "train", "evaluate", *judge, home=tmp_path / "home")
    assert answer.returncode == 0, answer.stderr
    assert "test accuracy" in answer.stdout
