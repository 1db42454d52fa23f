import hashlib
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from demo.answering import Answering
from demo.models.model import load_model
from demo.telling.verdict import Kind
from tests.conftest import serve
from tests.hub.conftest import ask, push, refused, run, state_of
from tests.minihub.fixture import RunningHub
from train.push import not_for_everybody, without_local_paths
from train.report.pictures import FOLDER, Credit, write_credits

STATE = """
import json
from huggingface_hub import HfApi, ModelCard
api = HfApi()
card = ModelCard.load("alice/dances-model")
print(json.dumps({
    "private": api.model_info("alice/dances-model").private,
    "files": sorted(set(api.list_repo_files("alice/dances-model")) - {".gitattributes"}),
    "titles": [commit.title for commit in api.list_repo_commits("alice/dances-model")],
    "card": card.data.to_dict(),
    "text": card.text,
}))
"""


def test_the_folder_is_pushed_in_one_commit_and_the_card_says_what_it_is(
    hub: RunningHub, pushed_model: str, model_folder: Path
) -> None:
    state = json.loads(ask(hub, STATE))
    assert state["private"]
    assert state["files"] == sorted(
        path.relative_to(model_folder).as_posix() for path in model_folder.rglob("*") if path.is_file()
    )
    metrics = json.loads((model_folder / "metrics.json").read_text())["test"]
    title = f"test_resnet, 8 classes, right on {metrics['accuracy']:.1%} of 8 test pictures (30 files changed)"
    assert state["titles"][0] == title
    card = state["card"]
    assert (card["library_name"], card["pipeline_tag"]) == ("timm", "image-classification")
    assert card["license"] == "apache-2.0"
    assert "drawings" in card["tags"]
    assert len(card["widget"]) == 8
    result = card["model-index"][0]["results"][0]["metrics"][0]
    assert result["value"] == metrics["accuracy"]
    assert result["args"]["interval_95"] == [round(bound, 4) for bound in metrics["accuracy_interval"]]
    for section in ("What it knows", "How good it is", "Use it", "How it was trained", "Data and licences"):
        assert f"## {section}" in state["text"]
    assert "cc0-1.0 (48)" in state["text"]
    assert "PATH_OR_HUB_ID" not in state["text"]


def test_pushing_again_changes_nothing(hub: RunningHub, pushed_model: str, run_folder: Path) -> None:
    before = json.loads(ask(hub, STATE))["titles"]
    # The run stands for the model folder in it.
    assert "nothing to do" in push(hub, "train", run_folder, pushed_model)
    assert json.loads(ask(hub, STATE))["titles"] == before


def test_the_snippets_of_the_card_run_as_they_are(
    hub: RunningHub, pushed_model: str, model_folder: Path, tmp_path: Path
) -> None:
    text = json.loads(ask(hub, STATE))["text"]
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    # Eight validation pictures promise no distance, and the card has no snippet for it.
    assert len(snippets) == 5
    picture = (model_folder / "examples" / "odissi.jpg").read_bytes()
    (tmp_path / "dancer.jpg").write_bytes(picture)
    home = tmp_path / "home"
    with serve(model_folder) as address:
        for snippet in snippets:
            code = f"import os; os.chdir({str(tmp_path)!r})\n" + snippet.replace("SPACE_ID_OR_ADDRESS", address)
            assert "odissi" in ask(hub, code, home=home)


def test_the_snippet_tells_what_is_like_none_of_the_classes(
    hub: RunningHub, comparing_folder: Path, tmp_path: Path
) -> None:
    push(hub, "train", comparing_folder, "alice/comparing")
    text = ask(hub, "from huggingface_hub import ModelCard\nprint(ModelCard.load('alice/comparing').text)")
    (snippet,) = [s for s in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "reference_features" in s]
    assert len(snippet.split("\n\n")[1].splitlines()) == 6
    Image.new("RGB", (160, 200), "blue").save(tmp_path / "blue.png")
    answering, said = Answering(load_model(str(comparing_folder))), set()
    for picture in (tmp_path / "blue.png", *sorted((comparing_folder / "examples").glob("*.jpg"))[:2]):
        nearest = answering.answer(picture).nearest
        assert nearest is not None
        distance, _, sentence = ask(hub, snippet.replace("dancer.jpg", str(picture))).strip().partition(" ")
        assert float(distance) == pytest.approx(nearest.distances.mean(), abs=1e-4)
        ood = answering.answer(picture).verdict.kind is Kind.OOD
        assert sentence == ("like none of them" if ood else "like some of them")
        said.add(sentence)
    assert len(said) == 2


def test_the_space_holds_the_app_and_just_what_it_imports(hub: RunningHub, model_folder: Path) -> None:
    words = (model_folder, "alice/shown", "--space", "alice/nritya", "--dataset", "alice/dances")
    push(hub, "train", *words)
    assert "nothing to do" in push(hub, "train", *words)
    code = """
from huggingface_hub import HfApi, SpaceCard, hf_hub_download
card = SpaceCard.load("alice/nritya")
print(card.data.sdk, card.data.sdk_version, card.data.app_file, card.data.models, card.data.datasets)
print(sorted(set(HfApi().list_repo_files("alice/nritya", repo_type="space")) - {".gitattributes"}))
print(open(hf_hub_download("alice/nritya", "requirements.txt", repo_type="space")).read())
"""
    card, files, *requirements = ask(hub, code).splitlines()
    assert card == "gradio 6.31.0 app.py ['alice/shown'] ['alice/dances']"
    expected = ["MODEL_ID", "README.md", "app.py", "demo/page.py", "model_folder/folder.py", "pictures/decoding.py"]
    assert set(expected) <= set(eval(files))
    names = {line.split("==")[0] for line in requirements}
    assert {"gradio[mcp]", "onnxruntime", "huggingface-hub", "pillow"} <= names
    assert not names & {"torch", "timm", "transformers", "matplotlib", "datasets", "typer", "imagehash"}


def test_the_quantised_model_goes_along_and_leaves_when_it_is_no_more(
    hub: RunningHub, model_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    listed = "from huggingface_hub import HfApi\nprint(HfApi().list_repo_files('alice/quantised'))"
    (folder / "model.int8.onnx").write_bytes((folder / "model.onnx").read_bytes())
    push(hub, "train", folder, "alice/quantised")
    assert {"model.onnx", "model.int8.onnx", "formats.json"} <= set(eval(ask(hub, listed)))
    (folder / "model.int8.onnx").unlink()
    (folder / "formats.json").unlink()
    push(hub, "train", folder, "alice/quantised")
    assert not {"model.int8.onnx", "formats.json"} & set(eval(ask(hub, listed)))
    (folder / "model.int8.onnx").write_bytes(b"no model")
    assert "has a damaged model.int8.onnx" in refused(hub, "train", folder, "alice/quantised")


class TestMistakes:
    def test_no_model_folder(self, hub: RunningHub, tmp_path: Path) -> None:
        assert "is no model folder: it has no config.json" in refused(hub, "train", tmp_path, "alice/nothing")
        assert "is no folder: give the model folder" in refused(hub, "train", tmp_path / "none", "alice/nothing")

    def test_a_revision_that_is_not_there(
        self, hub: RunningHub, pushed_model: str, dataset_folder: Path, tmp_path: Path
    ) -> None:
        words = [
            "-m",
            "train",
            "evaluate",
            f"{pushed_model}@v9",
            f"dataset={dataset_folder}",
            f"output_dir={tmp_path}",
        ]
        answer = run(hub, *words)
        assert answer.returncode == 2
        assert "it has no such revision: name a branch, a tag or a full commit hash" in answer.stderr


def test_weights_that_arrive_damaged_are_noticed_and_fetched_again(
    hub: RunningHub, pushed_model: str, model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    words = ["-m", "train", "evaluate", pushed_model, f"dataset={dataset_folder}", f"output_dir={tmp_path / 'out'}"]
    # Large files are stored under their checksum: this is the download of the weights, one byte of it flipped.
    sha256 = hashlib.sha256((model_folder / "model.safetensors").read_bytes()).hexdigest()
    hub.faults([{"next": 1, "status": "corrupt", "match": f"GET .*{sha256}"}])
    answer = run(hub, *words, home=tmp_path / "home")
    assert hub.faults_left() == []
    assert answer.returncode == 2, answer.stderr
    assert "model.safetensors arrived damaged (its checksum is wrong): run the same command again" in answer.stderr
    answer = run(hub, *words, home=tmp_path / "home")
    assert answer.returncode == 0, answer.stderr


def test_a_hostile_model_on_the_hub_is_refused(hub: RunningHub, dataset_folder: Path, tmp_path: Path) -> None:
    code = """
import json
from huggingface_hub import HfApi
api = HfApi()
api.create_repo("alice/evil", exist_ok=True)
config = {"architecture": "resnet34", "num_classes": 2, "label_names": ["a", "b"],
          "pretrained_cfg": {"input_size": [3, 99999, 99999]}}
for name, content in {"config.json": json.dumps(config).encode(), "model.safetensors": b"\\x80\\x04K\\x01.",
                      "pytorch_model.bin": b"\\x80\\x04K\\x01.", "evil.py": b"raise SystemExit"}.items():
    api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id="alice/evil")
"""
    ask(hub, code)
    home = tmp_path / "home"
    answer = run(
        hub, "-m", "train", "evaluate", "alice/evil", f"dataset={dataset_folder}", f"output_dir={tmp_path}", home=home
    )
    assert answer.returncode == 2
    assert "alice/evil is not to be trusted: input_size is [3, 99999, 99999]" in answer.stderr
    served = run(
        hub,
        "-c",
        "import os, runpy; os.environ['MODEL_ID'] = 'alice/evil'; runpy.run_path('app.py', run_name='__main__')",
    )
    assert served.returncode == 2
    assert "is not to be trusted" in served.stderr
    fetched = {path.name for path in home.rglob("*") if path.is_file()}
    assert not fetched & {"pytorch_model.bin", "evil.py"}


def test_a_recipe_does_not_tell_where_files_lie(hub: RunningHub, pushed_model: str, model_folder: Path) -> None:
    download = f"hf_hub_download({pushed_model!r}, 'recipe.yaml')"
    code = f"from huggingface_hub import hf_hub_download\nprint(open({download}).read())"
    pushed = ask(hub, code).splitlines()
    here = (model_folder / "recipe.yaml").read_text().strip().splitlines()
    assert [line for line in pushed if line not in here] == ["dataset: dances", "output_dir: run"]
    assert len(pushed) == len(here)
    for kept in ("dataset: user/dances@v1", "init_from: user/model", "weights: null", "init_from: null"):
        assert without_local_paths(kept) == kept
    assert without_local_paths("weights: /home/anna/lite0.safetensors") == "weights: lite0.safetensors"


def test_pictures_that_must_not_be_seen_do_not_turn_public(
    hub: RunningHub, model_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model", ignore=shutil.ignore_patterns("report"))
    path = folder / "examples" / "examples.json"
    free = json.loads(path.read_text())
    path.write_text(json.dumps([{**free[0], "license": "cc-by-nd-4.0"}, *free[1:]]))
    words = ("train", folder, "alice/exampled")
    message = refused(hub, *words, "--public")
    assert f"1 pictures or files (1 x licence cc-by-nd-4.0: {free[0]['file']}) must not be published" in message
    push(hub, *words, "--tag", "v1")
    path.write_text(json.dumps(free))
    message = refused(hub, *words, "--public")
    assert (
        "everybody would see the history of alice/exampled: 1 pictures or files (1 x licence cc-by-nd-4.0" in message
    )
    assert "tag v1" in message
    line = push(hub, *words, "--public", "--squash", "--delete-tags")
    assert "history of main rewritten, tags deleted: v1" in line
    state = state_of(hub, "alice/exampled", "model")
    assert (state["private"], len(state["titles"]), state["refs"]["tags"]) == (False, 1, [])
    # Pictures of the reference features tell whose they are within their archive.
    with zipfile.ZipFile(folder / "reference_pictures.zip", "w") as archive:
        archive.writestr(
            "pictures.json", json.dumps([{"file": "0.jpg", "license": "", "author": "", "source_url": ""}])
        )
    with (folder / "reference_pictures.zip").open("rb") as content:
        refusals = not_for_everybody("reference_pictures.zip", lambda: content)
    assert refusals == [("0.jpg", "licence unknown")]
    assert not_for_everybody("report/credits.json", lambda: io.BytesIO(b"[1]")) == [
        ("report/credits.json", "a list of pictures that can't be read")
    ]


def test_a_report_goes_along_only_where_every_picture_may(hub: RunningHub, model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model", ignore=shutil.ignore_patterns("report"))
    free = Credit("ab" * 32, "cc-by-4.0", "A. Photographer", "https://example.org/1")
    write_credits(folder / FOLDER, "index.html", [free])
    (folder / FOLDER / "index.html").write_text("<!doctype html>")
    push(hub, "train", folder, "alice/reported")
    code = "from huggingface_hub import HfApi; print(HfApi().list_repo_files('alice/reported'))"
    assert {"report/index.html", "report/credits.json"} <= set(eval(ask(hub, code)))
    # Judged again, on a dataset with one picture that nobody may pass on: the former report goes, too.
    write_credits(folder / FOLDER, "index.html", [free, Credit("cd" * 32, "", "", "")])
    assert "2 removed" in push(hub, "train", folder, "alice/reported")
    files = set(eval(ask(hub, code)))
    assert "metrics.json" in files
    assert not any(name.startswith("report/") for name in files)
