"""The story of `train static`: a model folder becomes a page that needs no server, only a place for its files."""

import re
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from files.atomic import atomic_folder
from files.paths import command_line
from model_folder.folder import INT8_ONNX, ONNX, ModelFolder, ModelFolderError, open_model_folder
from model_folder.onnx_session import open_onnx
from model_folder.reference_features import open_reference
from train.publishing.site_files import Files, site_files
from train.publishing.site_reference import REFERENCE_FILE
from train.publishing.web_operators import check_operators
from train.publishing.web_runtime import BINARY, runtime_files

BUILD = re.compile(r"build-[0-9a-f]{16}")


class Numbers(StrEnum):
    """What a model computes in."""

    FLOAT = "float"
    INT8 = "int8"


@dataclass(frozen=True)
class Site:
    """A page that was written.

    Attributes:
        path: The folder.
        files: How many it has.
        megabytes: Of the model and what comes with it, as a visitor fetches them.
    """

    path: Path
    files: int
    megabytes: float

    def __str__(self) -> str:
        """Returns the lines that the command ends with."""
        return (
            f"{self.path}: {self.files} files; a visitor fetches {self.megabytes:.1f} MB once, then nothing\n"
            f"Look at it: {command_line('python', '-m', 'http.server', '--directory', self.path)}"
        )


def write_site(model: str, out: Path, numbers: Numbers | None, package: Path | None) -> Site:
    """Writes a site; the folder appears whole, by rename, and replaces an earlier one.

    Args:
        model: A model folder or Hub id.
        out: The folder to write.
        numbers: Which of the model folder's ONNX files answers; None for the quantised one where there is one.
        package: The archive of ONNX Runtime Web, for those without a network.

    Raises:
        ModelFolderError: `model` is no model folder, or has no ONNX file, or one or a reference not to be trusted.
        HubError: It can't be fetched.
        WebOperatorsError: A browser can't run it.
        WebRuntimeError: What runs it can't be had.
        OutputFolderError: `out` holds something else, or can't be written.
    """
    with atomic_folder(out, is_site) as draft:
        files = make_site(open_model_folder(model, for_torch=False), numbers, package)
        for name, content in files.items():
            place = draft / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                place.write_bytes(content)
            else:
                shutil.copyfile(content, place)
        heavy = sum(
            (draft / name).stat().st_size for name in files if name.endswith((".onnx", BINARY, REFERENCE_FILE))
        )
    return Site(out, len(files), heavy / 1e6)


def make_site(folder: ModelFolder, numbers: Numbers | None, package: Path | None) -> Files:
    """Returns the content of a site by path, once it is sure that browsers can run the model.

    Raises:
        ModelFolderError, WebOperatorsError, WebRuntimeError: As `write_site`.
    """
    network = choose_network(folder, numbers)
    _, features, *_ = open_onnx(folder, 1, network.name).get_outputs()
    check_operators(network)
    reference = open_reference(folder)
    if reference and features.shape != [reference.features.shape[1]]:
        raise ModelFolderError(
            f"{folder.name} is not to be trusted: {network.name} gives features of shape {features.shape}, its"
            f" reference has {reference.features.shape[1]} for a picture"
        )
    return site_files(folder, network, reference, runtime_files(package))


def choose_network(folder: ModelFolder, numbers: Numbers | None) -> Path:
    """Chooses the ONNX file that answers.

    Raises:
        ModelFolderError: There is none, or not the one that was asked for.
    """
    names = {Numbers.INT8: INT8_ONNX, Numbers.FLOAT: ONNX}
    there = {kind: folder.path / name for kind, name in names.items() if (folder.path / name).is_file()}
    if not there:
        raise ModelFolderError(
            f"{folder.name} has no {ONNX}, which a page without a server needs: fit it again with an architecture that"
            " can be exported (`fit` says why one can't)"
        )
    if numbers and numbers not in there:
        raise ModelFolderError(f"{folder.name} has no {names[numbers]}: --model {next(iter(there))} can be had")
    return there[numbers] if numbers else next(iter(there.values()))


def is_site(folder: Path) -> bool:
    """Tells whether a folder holds what `static` writes and nothing else."""
    names = {path.name for path in folder.iterdir()} - {"index.html", "service_worker.js"}
    return (folder / "index.html").is_file() and len(names) == 1 and BUILD.fullmatch(names.pop()) is not None
