import gzip
import hashlib
import json
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from safetensors import safe_open
from safetensors.numpy import load_file

from demo.static_page.runtime import VERSION, WebRuntimeError, runtime_files
from demo.words import LANGUAGES
from model_folder.folder import open_model_folder
from model_folder.reference_pictures import open_pictures
from pictures.decoding import MAX_PIXELS, MIN_SIDE
from tests.browser.files_server import FilesServer
from tests.reference import change_pictures, forget_reference

Cli = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]
SITE = Path(__file__).parents[2] / "demo" / "static_page" / "assets"


@pytest.fixture
def copy(model_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(model_folder, tmp_path / "model")


def _digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_site_holds_all_that_the_page_needs_and_the_same_model_gives_the_same(
    cli: Cli, model_folder: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    code, out, _ = cli("train", "static", model_folder, "--out", site)
    assert code == 0
    assert re.fullmatch(
        rf"{site}: \d+ files; a visitor fetches 5\.\d MB once, then nothing\n"
        rf"Look at it: python -m http.server --directory {site}\n",
        out,
    )
    build = next(path for path in site.iterdir() if path.is_dir())
    assert {path.name for path in site.iterdir()} == {"index.html", "service_worker.js", build.name}
    told = json.loads((build / "site.json").read_text())
    assert {"app.js", "site.json", "words/hi.json", "examples/kathak.jpg"} <= set(map(unquote, told["files"]))
    for file in (*told["files"], told["model"]["file"], told["runtime"]["file"]):
        assert (build / unquote(file)).is_file(), file
    for part in ("model", "runtime", "reference"):
        assert (build / told[part]["file"]).stat().st_size == told[part]["bytes"]
    assert (build / "model.onnx").read_bytes() == (model_folder / "model.onnx").read_bytes()
    assert "MIT License" in (build / "runtime" / "LICENSE").read_text()
    # The only addresses are the Hub's and those of namespaces and licences: nothing is fetched from anywhere else.
    ours = [path for path in site.rglob("*") if path.suffix in (".js", ".html", ".css")]
    assert len(ours) > 10
    assert not [path for path in ours if re.search(r"https?://", path.read_text())]
    first = _digest(site)
    # The run stands for the model folder in it.
    assert cli("train", "static", model_folder.parent, "--out", site)[0] == 0
    assert _digest(site) == first


def test_an_earlier_site_is_replaced_and_anything_else_is_not(
    cli: Cli, refused: Refused, model_folder: Path, copy: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    assert cli("train", "static", model_folder, "--out", site)[0] == 0
    config = json.loads((copy / "config.json").read_text())
    config["classes"]["kathak"]["fact"] = "Told anew."
    (copy / "config.json").write_text(json.dumps(config))
    before = _digest(site)
    assert cli("train", "static", copy, "--out", site)[0] == 0
    after = _digest(site)
    assert len({name.split("/")[0] for name in after if name.startswith("build-")}) == 1
    assert set(before) != set(after)
    (site / "thesis.tex").write_text("mine")
    kept = _digest(site)
    said = refused("train", "static", copy, "--out", site)
    assert said == f"error: {site} exists and holds more than this command makes: choose another or remove it"
    assert _digest(site) == kept
    assert "holds more than this command makes" in refused("train", "static", copy, "--out", copy)


def test_no_model_no_onnx_and_one_that_is_not_there(refused: Refused, copy: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert "is neither a folder nor a Hub id" in refused("train", "static", tmp_path / "none", "--out", site)
    said = refused("train", "static", copy, "--out", site, "--model", "int8")
    assert said == f"error: {copy} has no model.int8.onnx: --model float can be had"
    said = refused("train", "static", copy, "--out", site, "--model", "int4")
    assert said == "error: --model is 'int4': float and int8 are allowed"
    (copy / "model.onnx").write_bytes(b"no model")
    assert "has a damaged model.onnx" in refused("train", "static", copy, "--out", site)
    (copy / "model.onnx").unlink()
    assert refused("train", "static", copy, "--out", site) == (
        f"error: {copy} has no model.onnx, which a page without a server needs: fit it again with an architecture that"
        " can be exported (`fit` says why one can't)"
    )
    assert not site.exists()


def test_the_quantised_model_is_taken_where_there_is_one(cli: Cli, copy: Path, tmp_path: Path) -> None:
    shutil.copy(copy / "model.onnx", copy / "model.int8.onnx")
    for words, name in (((), "model.int8.onnx"), (("--model", "float"), "model.onnx")):
        assert cli("train", "static", copy, "--out", tmp_path / "site", *words)[0] == 0
        assert [path.name for path in (tmp_path / "site").rglob("*.onnx")] == [name]


def _change(file: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load(file)
    change(model)
    onnx.save(model, file)


def test_a_model_that_browsers_can_not_run_is_found_here(refused: Refused, copy: Path, tmp_path: Path) -> None:
    def newer(model: onnx.ModelProto) -> None:
        for entry in model.opset_import:
            entry.version = 27

    _change(copy / "model.onnx", newer)
    said = refused("train", "static", copy, "--out", tmp_path / "site")
    assert said == (
        f"error: {copy / 'model.onnx'} can't run in a browser: onnxruntime-web {VERSION} lacks operator set ai.onnx"
        " 27. Fit the model again"
    )


def test_numbers_that_browsers_do_not_know_are_found_here(refused: Refused, copy: Path, tmp_path: Path) -> None:
    def through_bfloat16(model: onnx.ModelProto) -> None:
        # There and back, in place of the network's last step.
        last = next(node for node in model.graph.node if "probs" in node.output)
        last.output[list(last.output).index("probs")] = "exact"
        for node in model.graph.node:
            if node is not last:
                node.input[:] = ["exact" if name == "probs" else name for name in node.input]
        model.graph.node.append(onnx.helper.make_node("Cast", ["exact"], ["coarse"], to=onnx.TensorProto.BFLOAT16))
        model.graph.node.append(onnx.helper.make_node("Cast", ["coarse"], ["probs"], to=onnx.TensorProto.FLOAT))

    _change(copy / "model.onnx", through_bfloat16)
    said = refused("train", "static", copy, "--out", tmp_path / "site")
    assert "lacks numbers of type BFLOAT16" in said


@pytest.mark.parametrize("file", ["metrics.json", "examples/examples.json"])
def test_what_is_damaged_is_named(refused: Refused, copy: Path, tmp_path: Path, file: str) -> None:
    (copy / file).write_text("[3")
    said = refused("train", "static", copy, "--out", tmp_path / "site")
    assert f"{copy} has a damaged metrics.json, examples.json or formats.json" in said


class TestReference:
    """What training pictures look like, for browsers to compare with."""

    def _written(self, site: Path) -> tuple[np.ndarray, list[dict[str, Any]], bytes]:
        (file,) = site.glob("*/reference.safetensors")
        with safe_open(file, "np") as tensors:
            told = json.loads(tensors.metadata()["pictures"])
            return tensors.get_tensor("features"), told, tensors.get_tensor("jpegs").tobytes()

    def test_it_is_the_model_folders(self, cli: Cli, comparing_folder: Path, tmp_path: Path) -> None:
        site = tmp_path / "site"
        assert cli("train", "static", comparing_folder, "--out", site)[0] == 0
        (told,) = site.glob("*/site.json")
        stated = json.loads((comparing_folder / "config.json").read_text())["ood"]
        reference = json.loads(told.read_text())["reference"]
        assert (reference["k"], reference["threshold"]) == (stated["k"], stated["value"])
        assert 0 < stated["value"] < 2
        features, pictures, jpegs = self._written(site)
        assert np.array_equal(features, load_file(comparing_folder / "reference_features.safetensors")["features"])
        expected = open_pictures(open_model_folder(str(comparing_folder)), len(features))
        assert len(expected) == 32
        assert jpegs == b"".join(picture.jpeg or b"" for picture in expected)
        assert [picture["bytes"] for picture in pictures] == [len(picture.jpeg or b"") for picture in expected]
        assert [picture["name"].lower() for picture in pictures] == [picture.label for picture in expected]
        assert {(picture["credit"], picture["url"]) for picture in pictures} == {("Nritya, cc0-1.0", "")}

    def test_what_must_not_be_shared_is_not_in_it(self, cli: Cli, copy: Path, tmp_path: Path) -> None:
        change_pictures(copy, {"file": None, "author": "Bela", "source_url": "https://b.example/1"})
        assert cli("train", "static", copy, "--out", tmp_path / "site")[0] == 0
        _, pictures, jpegs = self._written(tmp_path / "site")
        assert jpegs == b""
        assert len(pictures) == 48
        assert all(picture | {"name": ""} == {"name": "", "credit": "", "url": "", "bytes": 0} for picture in pictures)

    def test_a_folder_without_one_gives_a_site_without_one(self, cli: Cli, copy: Path, tmp_path: Path) -> None:
        (copy / "reference_pictures.zip").unlink()
        assert cli("train", "static", copy, "--out", tmp_path / "site")[0] == 0
        assert self._written(tmp_path / "site")[1:] == ([], b"")
        forget_reference(copy)
        assert cli("train", "static", copy, "--out", tmp_path / "site")[0] == 0
        (told,) = (tmp_path / "site").glob("*/site.json")
        assert json.loads(told.read_text())["reference"] is None
        assert not list((tmp_path / "site").rglob("*.safetensors"))

    def test_what_does_not_belong_to_the_model_is_named(self, refused: Refused, copy: Path, tmp_path: Path) -> None:
        words = ("train", "static", copy, "--out", tmp_path / "site")
        pictures = copy / "reference_pictures.zip"
        kept = pictures.read_bytes()
        pictures.write_bytes(kept[:1000])
        assert f"{copy} is not to be trusted: reference_pictures.zip: File is not a zip file" in refused(*words)
        pictures.write_bytes(kept)

        def narrower(model: onnx.ModelProto) -> None:
            """Cuts the last feature off."""
            (features,) = (value for value in model.graph.output if value.name == "features")
            width = features.type.tensor_type.shape.dim[0].dim_value
            features.type.tensor_type.shape.dim[0].dim_value = width - 1
            for node in model.graph.node:
                node.output[:] = ["all" if name == "features" else name for name in node.output]
                node.input[:] = ["all" if name == "features" else name for name in node.input]
            for name, value in (("from", 0), ("to", width - 1)):
                model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
            model.graph.node.append(helper.make_node("Slice", ["all", "from", "to"], ["features"]))

        _change(copy / "model.onnx", narrower)
        assert re.search(r"model.onnx gives features of shape \[\d+\], its reference has \d+ for", refused(*words))
        (copy / "reference_features.safetensors").write_bytes(b"no features")
        assert f"{copy} has a damaged reference_features.safetensors" in refused(*words)
        assert not (tmp_path / "site").exists()


class TestRuntime:
    """ONNX Runtime Web, from npm's registry and in place of it."""

    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The archive of the package, as the cache of this machine's user has it."""
        runtime_files(None)
        cache = Path.home() / ".cache" / "nritya" / f"onnxruntime-web-{VERSION}.tgz"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        return cache

    def test_it_is_smaller_than_its_package_and_the_same_each_time(self) -> None:
        first, second = runtime_files(None), runtime_files(None)
        assert first == second
        binary = first["ort-wasm-simd-threaded.wasm.gz"]
        assert gzip.decompress(binary)[:4] == b"\0asm"
        assert len(binary) < 4e6

    def test_it_is_fetched_once(self, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "registry" / "onnxruntime-web" / "-"
        folder.mkdir(parents=True)
        shutil.copy(package, folder)
        with FilesServer(tmp_path / "registry").running() as registry:
            settings = tmp_path / "npmrc"
            settings.write_text(f"fund = false\nregistry = {registry.address}\n")
            monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(settings))
            monkeypatch.delenv("npm_config_registry", raising=False)
            monkeypatch.delenv("NPM_CONFIG_REGISTRY", raising=False)
            runtime_files(None)
            runtime_files(None)
            assert registry.asked == [f"/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"]
            # What lies there is not trusted more than what comes.
            (kept,) = (tmp_path / "cache" / "nritya").iterdir()
            kept.write_bytes(kept.read_bytes()[:-1])
            runtime_files(None)
            assert len(registry.asked) == 2
            (folder / package.name).write_bytes(b"something else")
            kept.unlink()
            with pytest.raises(WebRuntimeError, match=r"gave something else \(its checksum differs\): run `npm pack"):
                runtime_files(None)
            assert not list((tmp_path / "cache" / "nritya").iterdir())

    def test_without_a_network_the_archive_can_be_given(
        self,
        cli: Cli,
        refused: Refused,
        package: Path,
        model_folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{closed.getsockname()[1]}/")
            said = refused("train", "static", model_folder, "--out", tmp_path / "site")
        assert re.fullmatch(
            rf"error: http://127\.0\.0\.1:\d+/onnxruntime-web/-/onnxruntime-web-{VERSION}\.tgz can't be fetched"
            rf" \(.+\): run `npm pack onnxruntime-web@{VERSION}` where there is a network, and give --onnxruntime-web"
            rf" onnxruntime-web-{VERSION}\.tgz",
            said,
        )
        words = ("--out", tmp_path / "site", "--onnxruntime-web", package)
        assert cli("train", "static", model_folder, *words)[0] == 0
        (tmp_path / "other.tgz").write_bytes(package.read_bytes()[1:])
        for name, why in (("other.tgz", f"is not onnxruntime-web {VERSION}"), ("none.tgz", "can't be read")):
            words = ("--out", tmp_path / "site", "--onnxruntime-web", tmp_path / name)
            assert why in refused("train", "static", model_folder, *words)


class TestWords:
    def test_every_language_of_the_other_page_is_spoken(self) -> None:
        own = {path.stem: json.loads(path.read_text()) for path in (SITE / "words").glob("*.json")}
        assert set(own) == set(LANGUAGES)
        for language, texts in own.items():
            assert list(texts) == list(own["en"])
            assert not set(texts) & set(LANGUAGES[language].texts), "said once, there"
            for key, text in texts.items():
                placeholders, english = (sorted(re.findall(r"\{\w+\}", said)) for said in (text, own["en"][key]))
                assert placeholders == english
                assert language == "en" or text != own["en"][key]

    def test_every_key_that_is_asked_for_is_there(self) -> None:
        there = {**LANGUAGES["en"].texts, **json.loads((SITE / "words" / "en.json").read_text())}
        code = "".join(path.read_text() for path in SITE.glob("*.js"))
        asked = set(re.findall(r"""(?:words|button|refuse|hopeless)\(\s*"(\w+)""", code))
        asked |= set(re.findall(r"""(?:failed|fault): "(\w+)""", code)) | set(re.findall(r'return "(\w+_\w+)"', code))
        assert len(asked) > 40
        assert asked <= set(there)
        own = set(json.loads((SITE / "words" / "en.json").read_text()))
        # Some are put together.
        begun = tuple(re.findall(r"`(\w+_)\$\{\w+\}`", code))
        assert begun == ("teach_", "taught_", "taught_")
        kinds = [
            f"teach_{kind}" for kind in re.findall(r'"(\w+)"', code.split("for (const kind of")[1].split(".filter")[0])
        ]
        kinds += [f"taught_{key}" for key in LANGUAGES["en"].texts]
        assert {key for key in own if f'"{key}"' not in code} - set(kinds) == set()

    def test_the_limits_are_those_of_the_other_page(self) -> None:
        from demo.reading.upload import ENOUGH, MAX_RATIO

        code = (SITE / "picture.js").read_text() + (SITE / "pixels.js").read_text()
        stated = {name: int(value.replace("_", "")) for name, value in re.findall(r"const (\w+) = ([\d_]+);", code)}
        limits = {"MAX_PIXELS": MAX_PIXELS, "MIN_SIDE": MIN_SIDE, "MAX_RATIO": MAX_RATIO, "ENOUGH": ENOUGH}
        assert stated == limits
