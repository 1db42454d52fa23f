"""Model folders of which the training pictures are told otherwise, or no more."""

import json
import zipfile
from pathlib import Path

import onnx

from model_folder.folder import INT8_ONNX, ONNX, PICTURES, REFERENCE
from model_folder.reference_features import KEY
from model_folder.reference_pictures import LIST


def change_pictures(folder: Path, told: dict[str, str | None]) -> None:
    """Tells something else of every training picture; what no longer has a file leaves the archive."""
    file = folder / PICTURES
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    entries = [entry | told for entry in json.loads(content.pop(LIST))]
    kept = {entry["file"] for entry in entries}
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(LIST, json.dumps(entries))
        for name in content.keys() & kept:
            archive.writestr(name, content[name])


def relabel(folder: Path, names: list[str]) -> Path:
    """Gives the classes of a model folder other names, of which nobody knows anything; returns the folder."""
    config = json.loads((folder / "config.json").read_text())
    config["label_names"], config["classes"] = names, {}
    (folder / "config.json").write_text(json.dumps(config))
    for file in (ONNX, INT8_ONNX):
        if (folder / file).exists():
            network = onnx.load(folder / file)
            told = {entry.key: entry.value for entry in network.metadata_props}
            onnx.helper.set_model_props(network, {**told, "label_names": json.dumps(names)})
            onnx.save(network, folder / file)
    change_pictures(folder, {"label": names[0]})
    return folder


def forget_reference(folder: Path) -> None:
    """Makes a model folder as it was before there were references."""
    (folder / REFERENCE).unlink()
    (folder / PICTURES).unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    del config[KEY]
    (folder / "config.json").write_text(json.dumps(config))
