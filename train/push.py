"""Pushing a model folder to the Hub, and the Spaces that show it.

A Space runs app.py with the packages it imports, or, static, is the page that needs no server.
"""

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
from model_folder.folder import (
    INT8_ONNX,
    LEARNED,
    ONNX,
    PICTURES,
    REFERENCE,
    ModelFolder,
    ModelFolderError,
    open_model_folder,
)
from model_folder.onnx_session import open_onnx
from model_folder.reference_features import open_reference
from model_folder.reference_pictures import LIST, open_pictures
from train.export.card import FORMATS, render_card
from train.report.pictures import FOLDER, Credit, may_be_pushed

_ROOT = Path(__file__).parents[1]
# A push removes files of earlier pushes that are gone from the model folder, but none that others added.
_OWN_FOLDERS = ("figures/", "examples/", f"{FOLDER}/")
_OWN_FILES = {
    ONNX, INT8_ONNX, FORMATS, REFERENCE, PICTURES, LEARNED, "metrics.json", "predictions.parquet", "system.json",
}  # fmt: skip
_RECIPE = "recipe.yaml"
_RECIPE_PATHS = re.compile(r"^(dataset|output_dir|weights|init_from): (.+)$", re.MULTILINE)
_CREDIT = ("license", "author", "source_url")

_PACKAGES = ("demo", "files", "hub", "model_folder", "pictures")
# The page without a server is written by `train static` and pushed as a Space of its own.
_STATIC_PAGE = "demo/static_page/"
# How a model without a model.onnx answers; transformers needs timm and torchvision without our importing them.
_THROUGH_TRANSFORMERS = "demo/models/through_transformers.py"
_TORCH = {"timm", "torch", "torchvision", "transformers"}
# The folder of a site; `train static` names it after its content.
_BUILD = re.compile(r"build-[0-9a-f]{16}/")


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

    The report shows pictures of the dataset: it goes along only where the licences of all of them allow that.

    Args:
        folder: A model folder, or the run that it lies in.
        repo_id: Such as "user/dances-resnet34".
        space_id: A Space that shows it, such as "user/nritya".
        static_space_id: A static Space, where the model answers in the visitor's browser.
        dataset_id: The dataset on the Hub, for a model that was trained on a folder; the cards link to it.
        options: Visibility, branch, tag and history; branch and tag are the model's alone.
        make_site: Returns the content of a static Space by path.

    Returns:
        What was done to the model, and to each Space.

    Raises:
        ModelFolderError: `folder` is no model folder, or its model.onnx or reference does not belong to it.
        PublishError: Pictures must not be published; nothing was sent.
        HubError: The Hub refuses, or can't be reached.
        UserError: Both Spaces are one; or there can be no static one, for reasons that `train static` has, too.
    """
    if space_id and space_id == static_space_id:
        raise UserError(f"--space and --static-space are both {space_id}: a Space is one or the other")
    if not folder.is_dir():
        raise ModelFolderError(f"{folder} is no folder: give the model folder that `train fit` made")
    model = open_model_folder(str(folder))
    # Everything is checked before anything is sent.
    for name in (ONNX, INT8_ONNX):
        if (model.path / name).is_file():
            open_onnx(model, 1, name)
    site = make_site(model) if static_space_id else {}
    if reference := open_reference(model):
        open_pictures(model, len(reference.features))
    policy = Policy(
        "model",
        lambda path: path.startswith(_OWN_FOLDERS) or path in _OWN_FILES,
        check_public=not_for_everybody,
        remedy="push without --public, or remove examples/ and reference_pictures.zip from the model folder",
    )
    test = read_metrics(model.path).get("test")
    judged = f"right on {test['accuracy']:.1%} of {test['pictures']} test pictures" if test else "not judged yet"
    message = f"{model.config['architecture']}, {len(model.label_names)} classes, {judged}"
    done = [publish(repo_id, policy, _model_files(model.path, repo_id, space_id, dataset_id), message, options)]
    data = model.config["training_data"]
    data["id"] = data["id"] or dataset_id
    shared = replace(options, revision=None, tag=None)
    if space_id:
        shown = f"{repo_id}@{options.revision}" if options.revision else repo_id
        done.append(push_space(space_id, shown, data, model.has_onnx, shared))
    if static_space_id:
        # The build of an earlier push leaves in the same commit; files of others stay.
        policy = Policy("space", lambda path: _BUILD.match(path) is not None, space_sdk="static")
        card = _space_card(repo_id, data, sdk="static", app_file="index.html")
        done.append(publish(static_space_id, policy, {**site, "README.md": card}, f"Show {repo_id}", shared))
    return done


def _model_files(folder: Path, repo_id: str, space_id: str | None, dataset_id: str | None) -> dict[str, Content]:
    paths = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    left_out = None if may_be_pushed(folder) else FOLDER
    files: dict[str, Content] = {
        name.as_posix(): path
        for name, path in paths.items()
        if name.parts[0] != left_out and not any(part.startswith(".") for part in name.parts)
    }
    files[_RECIPE] = without_local_paths((folder / _RECIPE).read_text(encoding="utf-8")).encode()
    files["README.md"] = render_card(folder, repo_id, space_id, dataset_id).encode()
    return files


def without_local_paths(recipe: str) -> str:
    """Returns a recipe with the names of local files and folders only: a whole path may name a person."""

    def name(setting: re.Match[str]) -> str:
        key, value = setting[1], setting[2].strip("'\"")
        is_local = key == "output_dir" or Path(value).is_absolute() or Path(value).exists() or value.count("/") > 1
        return f"{key}: {Path(value).name}" if is_local else setting[0]

    return _RECIPE_PATHS.sub(name, recipe)


def not_for_everybody(path: str, open_file: Callable[[], BinaryIO]) -> list[Refusal]:
    """Finds pictures in a file of a model repository that must not be public.

    A model folder lists the credits of all pictures in it: in `examples/examples.json`, `report/credits.json`, and
    within `reference_pictures.zip`. Pictures that no list names were not put there by `train push`.
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
    """Pushes the Space that runs app.py; files of others on it stay."""
    policy = Policy("space", lambda path: path.startswith(tuple(f"{name}/" for name in _PACKAGES)), space_sdk="gradio")
    return publish(space_id, policy, space_files(model_id, training_data, has_onnx), f"Show {model_id}", options)


def space_files(model_id: str, training_data: dict[str, Any], has_onnx: bool) -> dict[str, Path | bytes]:
    """Returns the content of a Space that runs app.py, by path.

    Args:
        model_id: The model on the Hub that it shows.
        training_data: As in the model folder's config.json.
        has_onnx: The model answers without torch, which is left out.
    """
    sources = sorted(path for name in _PACKAGES for path in (_ROOT / name).rglob("*") if path.is_file())
    files = {
        name: path
        for path in (_ROOT / "app.py", *sources)
        if not (name := path.relative_to(_ROOT).as_posix()).startswith(_STATIC_PAGE) and path.suffix != ".pyc"
    }
    if has_onnx:
        del files[_THROUGH_TRANSFORMERS]
    pinned = (_ROOT / "requirements.txt").read_text(encoding="utf-8")
    requirements = cut_requirements(pinned, [path for path in files.values() if path.suffix == ".py"], has_onnx)
    gradio = next(pin.split("==")[1] for pin in requirements.split() if _canonical(pin) == "gradio")
    program = {"sdk": "gradio", "sdk_version": gradio, "python_version": "3.11", "app_file": "app.py"}
    return {
        **files,
        "requirements.txt": requirements.encode(),
        "README.md": _space_card(model_id, training_data, **program),
        "MODEL_ID": f"{model_id}\n".encode(),
    }


def cut_requirements(requirements: str, modules: list[Path], has_onnx: bool) -> str:
    """Returns the pinned lines of a requirements file that some modules need.

    Args:
        requirements: Text with lines such as `pillow==12.3.0   # why`.
        modules: Python files; what they import is needed.
        has_onnx: torch and the packages on top of it are not needed, whatever is imported.
    """
    imported: set[str] = set()
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    imported = imported - _TORCH if has_onnx else imported | _TORCH
    distributions = packages_distributions()
    needed = {_canonical(d) for name in imported - sys.stdlib_module_names for d in distributions.get(name, [])}
    pins = [line.split("#")[0].strip() for line in requirements.splitlines() if "==" in line]
    return "\n".join(pin for pin in pins if _canonical(pin) in needed) + "\n"


def _canonical(pin: str) -> str:
    """Returns the name of a package, without its extras and version, as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[=]", pin)[0]).lower()


def _space_card(model_id: str, training_data: dict[str, Any], **program: Any) -> bytes:
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
    text = f"Classifies pictures by [{model_id}](https://huggingface.co/{model_id}), which was trained on {kind}."
    return str(SpaceCard(f"---\n{data.to_yaml()}\n---\n\n# Nritya\n\n{text}\n")).encode()
