"""Model folders of which the training pictures are told otherwise, or no more."""

import json
import zipfile
from pathlib import Path

from model_folder.folder import PICTURES, REFERENCE
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


def forget_reference(folder: Path) -> None:
    """Makes a model folder as it was before there were references."""
    (folder / REFERENCE).unlink()
    (folder / PICTURES).unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    del config[KEY]
    (folder / "config.json").write_text(json.dumps(config))
