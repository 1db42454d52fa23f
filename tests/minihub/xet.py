"""The xet side, the clients' default; needs hf_xet in the server's environment.

huggingface_hub 2 uploads through hf_xet unless HF_HUB_DISABLE_XET=1, and `upload_folder` then takes another
code path (a pipeline of commits, retried). hf_xet takes a server address `local://FOLDER`: chunks and shards
are written to that folder and not sent over HTTP. So each write token hands out a fresh folder, and when a
commit names a sha256 that was not uploaded, it is looked up in the shards of the repository's folders,
rebuilt with hf_xet and checked. Downloads are plain HTTP (no X-Xet-Hash). The traffic of chunks is therefore
not HTTP here: no faults and no log lines for it.
"""

import hashlib
import os
import secrets
import shutil
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hf_xet  # type: ignore[import-untyped]
from starlette.responses import JSONResponse, Response

from tests.minihub.repository import Blobs, Repository

HOUR = 3600
RECORD = 48
WHOLE_FILE_END = b"\xff" * 32


@dataclass(frozen=True)
class XetFile:
    """A file as a shard describes it."""

    sha256: str
    xet_hash: str
    size: int


class Xet:
    """Rebuilds what clients uploaded through hf_xet."""

    def __init__(self, root: Path, blobs: Blobs) -> None:
        self.root = root / "xet"
        self.blobs = blobs

    def write_token(self, repository: Repository) -> Response:
        folder = self._folder(repository) / secrets.token_hex(6)
        folder.mkdir(parents=True)
        address, expiry = f"local://{folder}", int(time.time()) + HOUR
        headers = {"X-Xet-Cas-Url": address, "X-Xet-Access-Token": "xet", "X-Xet-Token-Expiration": str(expiry)}
        return JSONResponse({"accessToken": "xet", "exp": expiry, "casUrl": address}, headers=headers)

    def rebuild(self, repository: Repository, sha256: str) -> int | None:
        """The size of a file if it was uploaded for this repository (its bytes are then kept), else `None`."""
        for folder in self._folder(repository).glob("*"):
            for shard in folder.glob("xet/xorbs/shards/*.mdb"):
                for file in files_in(shard):
                    if file.sha256 == sha256:
                        return file.size if self._rebuild_from(folder, file) else None
        return None

    def _folder(self, repository: Repository) -> Path:
        return self.root / repository.kind / repository.id.replace("/", "--")

    def _rebuild_from(self, folder: Path, file: XetFile) -> bool:
        copy, out = self.blobs.new_file(), self.blobs.new_file()
        try:
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("shard-*"), copy_function=_copy_or_link)
            session = hf_xet.XetSession()
            expiry = int(time.time()) + HOUR
            with session.new_file_download_group(
                endpoint=f"local://{copy}", token="xet", token_expiry_unix_secs=expiry
            ) as group:
                group.start_download_file(hf_xet.XetFileInfo(file.xet_hash, file.size), str(out))
            with out.open("rb") as data:
                if hashlib.file_digest(data, "sha256").hexdigest() != file.sha256:
                    return False
            out.replace(self.blobs.path(file.sha256))
            return True
        finally:
            shutil.rmtree(copy, ignore_errors=True)
            out.unlink(missing_ok=True)


def _copy_or_link(source: str, target: str) -> None:
    """The client may still hold the lock on the `.redb` index, so a copy of that is opened."""
    if source.endswith(".redb"):
        shutil.copy(source, target)
    else:
        os.link(source, target)


def files_in(shard: Path) -> Iterator[XetFile]:
    """The files that an MDB shard describes: after a header of 48 bytes, records of 48 bytes."""
    data = shard.read_bytes()
    at = RECORD
    while data[at : at + 32] != WHOLE_FILE_END:
        xet_hash = _hash(data[at : at + 32])
        flags, segments = struct.unpack("<II", data[at + 32 : at + 40])
        starts = [at + RECORD * i for i in range(1, segments + 1)]
        size = sum(struct.unpack("<I", data[start + 36 : start + 40])[0] for start in starts)
        has_verification, has_metadata = flags >> 31 & 1, flags >> 30 & 1
        at += RECORD * (1 + segments + (segments if has_verification else 0))
        if has_metadata:
            yield XetFile(_hash(data[at : at + 32]), xet_hash, size)
            at += RECORD


def _hash(raw: bytes) -> str:
    """A MerkleHash prints as four little-endian 64-bit words."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))
