"""The story of `train push`: a model folder goes to the Hub, and the Spaces that show it."""

from pathlib import Path
from typing import Any

from files.errors import UserError
from hub.model_folder import INT8_ONNX, ONNX, PICTURES, REFERENCE, ModelFolder, ModelFolderError, open_model_folder
from hub.onnx_model import open_onnx
from hub.push import Pushed, push
from hub.reference_features import open_reference
from hub.reference_pictures import open_pictures
from train.exporting.formats import FORMATS
from train.judging.reporting.credits import FOLDER, may_be_pushed
from train.publishing.card import read_metrics, render_card
from train.publishing.site_files import Files
from train.publishing.space import PARTS, space_files, static_space_card
from train.static import BUILD, make_site

_OURS = ("figures/", "examples/", f"{FOLDER}/")
_OPTIONAL = {ONNX, INT8_ONNX, FORMATS, REFERENCE, PICTURES, "metrics.json", "predictions.parquet", "system.json"}


def push_model(
    folder: Path,
    repo_id: str,
    space_id: str | None,
    static_space_id: str | None,
    dataset_id: str | None,
    public: bool,
    revision: str | None,
    tag: str | None,
) -> list[Pushed]:
    """Pushes a model folder in one commit, and then the Spaces that are wanted.

    The report shows pictures of the dataset: it goes along only where every one's licence allows that.

    Args:
        folder: Made by `fit`.
        repo_id: Such as "user/dances-resnet34".
        space_id: A Space that shows it, such as "user/nritya".
        static_space_id: A static Space, where the model answers in the visitor's browser.
        dataset_id: The dataset on the Hub, for a model that was trained on a folder; the cards link to it.
        public: Let everybody see them.
        revision: Push the model to this branch instead of main.
        tag: Give the model's commit this tag.

    Returns:
        What was done to the model, and to each Space.

    Raises:
        ModelFolderError: `folder` is no model folder, or its model.onnx or reference does not belong to it.
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
    files: dict[str, Path | bytes] = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.relative_to(folder).parts[0] not in left_out
    }
    files["README.md"] = render_card(folder, repo_id, space_id, dataset_id).encode()
    done = [
        push(
            repo_id,
            "model",
            files,
            lambda path: path.startswith(_OURS) or path in _OPTIONAL,
            message(model),
            public=public,
            revision=revision,
            tag=tag,
        )
    ]
    data = model.config["training_data"]
    data["id"] = data["id"] or dataset_id
    if space_id:
        shown = f"{repo_id}@{revision}" if revision else repo_id
        done.append(push_space(space_id, shown, data, model.has_onnx, public))
    if static_space_id:
        done.append(push_static_space(static_space_id, repo_id, data, site, public))
    return done


def push_space(space_id: str, model_id: str, training_data: dict[str, Any], has_onnx: bool, public: bool) -> Pushed:
    """Pushes the Space; files of others on it stay."""
    return push(
        space_id,
        "space",
        space_files(model_id, training_data, has_onnx),
        lambda path: path.startswith(tuple(f"{part}/" for part in PARTS)),
        f"Show {model_id}",
        public=public,
        space_sdk="gradio",
    )


def push_static_space(
    space_id: str, model_id: str, training_data: dict[str, Any], site: Files, public: bool
) -> Pushed:
    """Pushes a site as a Space; an earlier build leaves in the same commit, files of others stay."""
    return push(
        space_id,
        "space",
        {**site, "README.md": static_space_card(model_id, training_data).encode()},
        lambda path: BUILD.fullmatch(path.partition("/")[0]) is not None,
        f"Show {model_id}",
        public=public,
        space_sdk="static",
    )


def message(model: ModelFolder) -> str:
    """Returns how the commit's message begins: what the model is and how good it has been measured to be."""
    test = read_metrics(model.path).get("test")
    judged = f"right on {test['accuracy']:.1%} of {test['pictures']} test pictures" if test else "not judged yet"
    return f"{model.config['architecture']}, {len(model.label_names)} classes, {judged}"
