"""The story of `train push`: a model folder goes to the Hub, and the Spaces that show it."""

import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from files.errors import UserError
from hub.publish import Content, Policy, Published, PushOptions, Refusal, publish
from model_folder.folder import INT8_ONNX, ONNX, PICTURES, REFERENCE, ModelFolder, ModelFolderError, open_model_folder
from model_folder.onnx_session import open_onnx
from model_folder.reference_features import open_reference
from model_folder.reference_pictures import LIST, open_pictures
from train.exporting.formats import FORMATS
from train.judging.reporting.credits import FOLDER, Credit, may_be_pushed
from train.publishing.card import read_metrics, render_card
from train.publishing.site_files import Files
from train.publishing.space import PARTS, space_files, static_space_card
from train.static import BUILD, make_site

_OURS = ("figures/", "examples/", f"{FOLDER}/")
_OPTIONAL = {ONNX, INT8_ONNX, FORMATS, REFERENCE, PICTURES, "metrics.json", "predictions.parquet", "system.json"}
_RECIPE = "recipe.yaml"
_PATHS = re.compile(r"^(dataset|output_dir|weights|init_from): (.+)$", re.MULTILINE)
_CREDIT = ("license", "author", "source_url")


def push_model(
    folder: Path,
    repo_id: str,
    space_id: str | None,
    static_space_id: str | None,
    dataset_id: str | None,
    options: PushOptions,
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
    site = make_site(model, None, None) if static_space_id else {}
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
    space_id: str, model_id: str, training_data: dict[str, Any], site: Files, options: PushOptions
) -> Published:
    """Pushes a site as a Space; an earlier build leaves in the same commit, files of others stay."""
    policy = Policy("space", lambda path: BUILD.fullmatch(path.partition("/")[0]) is not None, space_sdk="static")
    files = {**site, "README.md": static_space_card(model_id, training_data).encode()}
    return publish(space_id, policy, files, f"Show {model_id}", options)


def message(model: ModelFolder) -> str:
    """Returns how the commit's message begins: what the model is and how good it has been measured to be."""
    test = read_metrics(model.path).get("test")
    judged = f"right on {test['accuracy']:.1%} of {test['pictures']} test pictures" if test else "not judged yet"
    return f"{model.config['architecture']}, {len(model.label_names)} classes, {judged}"
