"""The story of `train push`: a model folder goes to the Hub, and the Spaces that show it."""

import ast
import json
import re
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, BinaryIO

from huggingface_hub import SpaceCard, SpaceCardData

from files.errors import UserError
from hub.publish import Content, Policy, Published, PushOptions, Refusal, publish
from model_folder.facts import read_metrics
from model_folder.folder import INT8_ONNX, ONNX, PICTURES, REFERENCE, ModelFolder, ModelFolderError, open_model_folder
from model_folder.onnx_session import open_onnx
from model_folder.reference_features import open_reference
from model_folder.reference_pictures import LIST, open_pictures
from train.export.card import render_card
from train.export.formats import FORMATS
from train.report.pictures import FOLDER, Credit, may_be_pushed

ROOT = Path(__file__).parents[1]
MODEL_ID_FILE = "MODEL_ID"
PARTS = ("demo", "files", "hub", "model_folder", "pictures")
# How a model without a model.onnx answers; transformers asks for timm and torchvision without our naming them.
_THROUGH_TRANSFORMERS = "demo/models/through_transformers.py"
_TORCH = {"timm", "torch", "torchvision", "transformers"}


def space_files(model_id: str, training_data: dict[str, Any], has_onnx: bool) -> dict[str, Path | bytes]:
    """Returns the content of a Space by path.

    Args:
        model_id: The model on the Hub that it shows.
        training_data: As in the model folder's config.json.
        has_onnx: The model answers without torch, which does not go along.
    """
    parts = sorted(
        path for part in PARTS for path in (ROOT / part).rglob("*") if path.is_file() and path.suffix != ".pyc"
    )
    files = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "app.py", *parts)}
    if has_onnx:
        del files[_THROUGH_TRANSFORMERS]
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    modules = [path for path in files.values() if path.suffix == ".py"]
    requirements = cut_requirements(pinned, modules, has_onnx)
    versions = {_canonical(pin): pin.split("==")[1] for pin in requirements.split()}
    program = {"sdk": "gradio", "sdk_version": versions["gradio"], "python_version": "3.11", "app_file": "app.py"}
    return {
        **files,
        "requirements.txt": requirements.encode(),
        "README.md": _card(model_id, training_data, **program).encode(),
        MODEL_ID_FILE: f"{model_id}\n".encode(),
    }


def cut_requirements(requirements: str, modules: list[Path], has_onnx: bool) -> str:
    """Returns the pinned lines of a requirements file that some modules need.

    Args:
        requirements: Text with lines such as `pillow==12.3.0   # why`.
        modules: Python files, whose imports decide.
        has_onnx: What has to do with torch is not needed, whoever imports it.
    """
    imported: set[str] = set()
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    imported = imported - _TORCH if has_onnx else imported | _TORCH
    of_import = packages_distributions()
    needed = {_canonical(d) for name in imported - sys.stdlib_module_names for d in of_import.get(name, [])}
    pins = [line.split("#")[0].strip() for line in requirements.splitlines() if "==" in line]
    return "\n".join(pin for pin in pins if _canonical(pin) in needed) + "\n"


def _canonical(pin: str) -> str:
    """Returns the name of a package, without its extras and version, as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[=]", pin)[0]).lower()


def static_space_card(model_id: str, training_data: dict[str, Any]) -> str:
    """Returns the card, README.md, of a static Space, whose other files are a site."""
    return _card(model_id, training_data, sdk="static", app_file="index.html")


def _card(model_id: str, training_data: dict[str, Any], **program: Any) -> str:
    data = SpaceCardData(
        title="Nritya",
        emoji="💃",
        colorFrom="red",
        colorTo="yellow",
        **program,
        models=[model_id],
        datasets=[training_data["id"]] if training_data["id"] else None,
        license="apache-2.0",
        short_description="Which classical dance of India is this?",
    )
    kind = "drawings of dancers, not photographs" if training_data["drawings"] else "photographs of dancers"
    text = f"Shows what [{model_id}](https://huggingface.co/{model_id}) sees in a picture. It was trained on {kind}."
    return str(SpaceCard(f"---\n{data.to_yaml()}\n---\n\n# Nritya\n\n{text}\n"))


_OURS = ("figures/", "examples/", f"{FOLDER}/")
_OPTIONAL = {ONNX, INT8_ONNX, FORMATS, REFERENCE, PICTURES, "metrics.json", "predictions.parquet", "system.json"}
_RECIPE = "recipe.yaml"
_PATHS = re.compile(r"^(dataset|output_dir|weights|init_from): (.+)$", re.MULTILINE)
# What a site of an earlier build lies in.
_BUILD = re.compile(r"build-[0-9a-f]{16}/")
_CREDIT = ("license", "author", "source_url")


def push_model(
    folder: Path,
    repo_id: str,
    space_id: str | None,
    static_space_id: str | None,
    dataset_id: str | None,
    options: PushOptions,
    make_site: Callable[[ModelFolder], Mapping[str, Content]],
) -> list[Published]:
    """Pushes a model folder in one commit, and then the Spaces that are wanted.

    The report shows pictures of the dataset: it goes along only where every one's licence allows that.

    Args:
        folder: Made by `fit`.
        repo_id: Such as "user/dances-resnet34".
        space_id: A Space that shows it, such as "user/nritya".
        static_space_id: A static Space, where the model answers in the visitor's browser.
        dataset_id: The dataset on the Hub, for a model that was trained on a folder; the cards link to it.
        options: What is asked for; branch and tag are the model's alone.
        make_site: Gives the content of a static Space by path.

    Returns:
        What was done to the model, and to each Space.

    Raises:
        ModelFolderError: `folder` is no model folder, or its model.onnx or reference does not belong to it.
        PublishError: Pictures must not be published; nothing was sent.
        HubError: The Hub, or the way to it, says no.
        UserError: Both Spaces are one; or there can be no static one, for reasons that `train static` has, too.
    """
    if space_id and space_id == static_space_id:
        raise UserError(f"--space and --static-space are both {space_id}: a Space is one or the other")
    if not folder.is_dir():
        raise ModelFolderError(f"{folder} is no folder: give the model folder that `train fit` made")
    model = open_model_folder(str(folder))
    for name in (ONNX, INT8_ONNX):
        if (folder / name).is_file():
            open_onnx(model, 1, name)
    # Whatever is against it is said before anything is sent.
    site = make_site(model) if static_space_id else {}
    if reference := open_reference(model):
        open_pictures(model, len(reference.features))
    left_out = () if may_be_pushed(folder) else (FOLDER,)
    files: dict[str, Content] = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.relative_to(folder).parts[0] not in left_out
    }
    files[_RECIPE] = without_local_paths((folder / _RECIPE).read_text(encoding="utf-8")).encode()
    files["README.md"] = render_card(folder, repo_id, space_id, dataset_id).encode()
    policy = Policy(
        "model",
        lambda path: path.startswith(_OURS) or path in _OPTIONAL,
        check_public=not_for_everybody,
        remedy="push without --public, or remove examples/ and reference_pictures.zip from the model folder",
    )
    done = [publish(repo_id, policy, files, message(model), options)]
    data = model.config["training_data"]
    data["id"] = data["id"] or dataset_id
    shared = replace(options, revision=None, tag=None)
    if space_id:
        shown = f"{repo_id}@{options.revision}" if options.revision else repo_id
        done.append(push_space(space_id, shown, data, model.has_onnx, shared))
    if static_space_id:
        done.append(push_static_space(static_space_id, repo_id, data, site, shared))
    return done


def without_local_paths(recipe: str) -> str:
    """Returns a recipe with the names of local files and folders, and not where they lie: that may name a person."""

    def name(setting: re.Match[str]) -> str:
        key, value = setting[1], setting[2].strip("'\"")
        is_local = key == "output_dir" or Path(value).is_absolute() or Path(value).exists() or value.count("/") > 1
        return f"{key}: {Path(value).name}" if is_local else setting[0]

    return _PATHS.sub(name, recipe)


def not_for_everybody(path: str, open_file: Callable[[], BinaryIO]) -> list[Refusal]:
    """Finds pictures in a file of a model repository that everybody must not see.

    A model folder says of all pictures in it whose they are: `examples/examples.json`, `report/credits.json`, and a
    list within `reference_pictures.zip`. Pictures that nothing is said of were not put there by `train push`.
    """
    try:
        if path == "examples/examples.json":
            with open_file() as content:
                pictures = json.load(content)
        elif path == f"{FOLDER}/credits.json":
            with open_file() as content:
                pictures = [credit for credits in json.load(content).values() for credit in credits]
        elif path == PICTURES:
            with open_file() as content, zipfile.ZipFile(content) as archive:
                pictures = [picture for picture in json.loads(archive.read(LIST)) if picture["file"]]
        else:
            return []
        credits = [
            (picture.get("file") or picture["sha256"], Credit("", *(str(picture[key] or "") for key in _CREDIT)))
            for picture in pictures
        ]
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile):
        return [(path, "a list of pictures that can't be read")]
    return [
        (name, f"licence {credit.license or 'unknown'}") for name, credit in credits if not credit.may_be_passed_on
    ]


def push_space(
    space_id: str, model_id: str, training_data: dict[str, Any], has_onnx: bool, options: PushOptions
) -> Published:
    """Pushes the Space; files of others on it stay."""
    policy = Policy("space", lambda path: path.startswith(tuple(f"{part}/" for part in PARTS)), space_sdk="gradio")
    return publish(space_id, policy, space_files(model_id, training_data, has_onnx), f"Show {model_id}", options)


def push_static_space(
    space_id: str, model_id: str, training_data: dict[str, Any], site: Mapping[str, Content], options: PushOptions
) -> Published:
    """Pushes a site as a Space; an earlier build leaves in the same commit, files of others stay."""
    policy = Policy("space", lambda path: _BUILD.match(path) is not None, space_sdk="static")
    files = {**site, "README.md": static_space_card(model_id, training_data).encode()}
    return publish(space_id, policy, files, f"Show {model_id}", options)


def message(model: ModelFolder) -> str:
    """Returns how the commit's message begins: what the model is and how good it has been measured to be."""
    test = read_metrics(model.path).get("test")
    judged = f"right on {test['accuracy']:.1%} of {test['pictures']} test pictures" if test else "not judged yet"
    return f"{model.config['architecture']}, {len(model.label_names)} classes, {judged}"
