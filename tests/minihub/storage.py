"""The object store, another origin than the Hub: signed PUT and GET of LFS bytes, whole or in parts."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from tests.minihub.answers import RefusedError, file_answer
from tests.minihub.repository import Blobs, Repositories, Repository

FIELDS = ("kind", "repo", "oid", "size", "upload", "part")


@dataclass
class Upload:
    """An upload in parts: the files and ETags of those that came."""

    parts: dict[int, tuple[Path, str]] = field(default_factory=dict)


class ObjectStore:
    """LFS objects, kept once for all repositories; each repository knows which ones it was given.

    Args:
        repositories: The repositories that get the objects.
        multipart_above: An object of more bytes than that is uploaded in parts.
        part_size: The bytes of each part but the last.
    """

    def __init__(self, repositories: Repositories, multipart_above: int, part_size: int) -> None:
        self.repositories = repositories
        self.blobs: Blobs = repositories.blobs
        self.multipart_above = multipart_above
        self.part_size = part_size
        self.port = 0
        self.uploads: dict[str, Upload] = {}
        self._secret = secrets.token_bytes(32)

    def download_url(self, repository: Repository, oid: str) -> str:
        return self._url("get", repository, oid)

    def upload_action(self, repository: Repository, oid: str, size: int, hub: str, multipart: bool) -> dict[str, Any]:
        """Where a client puts an object: one URL, or one for each part and one on the Hub to say that it is done."""
        if not multipart or size <= self.multipart_above:
            return {"href": self._url("put", repository, oid, size), "header": {}}
        upload = secrets.token_hex(8)
        self.uploads[upload] = Upload()
        header = {"chunk_size": str(self.part_size)}
        for part in range(1, ceil(size / self.part_size) + 1):
            length = min(self.part_size, size - (part - 1) * self.part_size)
            header[str(part)] = self._url("part", repository, oid, length, upload, part)
        query = self._signed("complete", repository.kind, repository.id, oid, str(size), upload, "")
        return {"href": f"{hub}api/complete_multipart?{query}", "header": header}

    async def answer(self, request: Request) -> Response:
        if "authorization" in request.headers:
            raise RefusedError(400, "Only one auth mechanism allowed: the token leaked to the object store")
        kind, repo_id, oid = (unquote(part) for part in request.scope["raw_path"].decode().split("/")[1:])
        asked = {**request.query_params, "kind": kind, "repo": repo_id, "oid": oid}
        if request.method in ("GET", "HEAD"):
            self._check("get", asked)
            return file_answer(request, self.blobs.path(oid), {"ETag": f'"{oid}"'})
        if asked.get("part"):
            return await self._put_part(request, asked)
        self._check("put", asked)
        file = self.blobs.new_file()
        try:
            await _receive(request, file)
            self._keep(file, kind, repo_id, oid, int(asked["size"]))
        finally:
            file.unlink(missing_ok=True)
        return Response(headers={"ETag": f'"{oid}"'})

    async def _put_part(self, request: Request, asked: dict[str, str]) -> Response:
        self._check("part", asked)
        upload = self.uploads.get(asked["upload"])
        if not upload:
            raise RefusedError(404, "NoSuchUpload")
        file = self.blobs.new_file()
        whole = False
        try:
            got = await _receive(request, file)
            if got != int(asked["size"]):
                raise RefusedError(400, f"part {asked['part']} has {got} bytes, not {asked['size']}")
            whole = True
        finally:
            if not whole:
                file.unlink(missing_ok=True)
        number, etag = int(asked["part"]), f'"{secrets.token_hex(16)}"'
        if number in upload.parts:
            upload.parts[number][0].unlink()
        upload.parts[number] = (file, etag)
        return Response(headers={"ETag": etag})

    def complete(self, asked: dict[str, str], payload: dict[str, Any]) -> Response:
        """Puts the parts of an upload together. May be asked again after its answer was lost."""
        self._check("complete", asked)
        kind, repo_id, oid, size = asked["kind"], asked["repo"], asked["oid"], int(asked["size"])
        upload = self.uploads.get(asked["upload"])
        if not upload and self.repositories.open(kind, repo_id).state["lfs"].get(oid) == size:
            return Response()
        if not upload:
            raise RefusedError(404, "NoSuchUpload")
        named = [(part["partNumber"], part["etag"]) for part in payload["parts"]]
        came = [(number, etag) for number, (_, etag) in sorted(upload.parts.items())]
        if payload["oid"] != oid or named != came or len(came) != ceil(size / self.part_size):
            raise RefusedError(400, f"InvalidPart: {len(came)} parts came, {len(named)} are named")
        file = self.blobs.new_file()
        try:
            with file.open("wb") as whole:
                for number, _ in came:
                    whole.write(upload.parts[number][0].read_bytes())
            self._keep(file, kind, repo_id, oid, size)
        finally:
            file.unlink(missing_ok=True)
            for part, _ in self.uploads.pop(asked["upload"]).parts.values():
                part.unlink(missing_ok=True)
        return Response()

    def _keep(self, file: Path, kind: str, repo_id: str, oid: str, size: int) -> None:
        """Makes an upload an object of a repository, if its bytes are the announced ones."""
        with file.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
        got = file.stat().st_size
        if digest != oid or got != size:
            raise RefusedError(400, f"BadDigest: got {got} bytes, sha256 {digest}")
        file.replace(self.blobs.path(oid))
        repository = self.repositories.open(kind, repo_id)
        repository.state["lfs"][oid] = got
        repository.save()

    def _url(
        self,
        doing: str,
        repository: Repository,
        oid: str,
        size: int | str = "",
        upload: str = "",
        part: int | str = "",
    ) -> str:
        """An address in the store; its path says what `complete_multipart` has in the query, too."""
        values = (repository.kind, repository.id, oid, str(size), upload, str(part))
        path = f"{repository.kind}/{quote(repository.id, safe='')}/{oid}"
        return f"http://127.0.0.1:{self.port}/{path}?{self._signed(doing, *values, hidden=FIELDS[:3])}"

    def _signed(self, doing: str, *values: str, hidden: Sequence[str] = ()) -> str:
        """A signed query of the values that are not empty, without those that are `hidden`."""
        asked = {name: value for name, value in zip(FIELDS, values, strict=True) if value}
        shown = {name: value for name, value in asked.items() if name not in hidden}
        return urlencode(shown | {"sig": self._signature(doing, asked)})

    def _signature(self, doing: str, asked: dict[str, str]) -> str:
        text = "\0".join([doing, *(asked.get(name, "") for name in FIELDS)])
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()

    def _check(self, doing: str, asked: dict[str, str]) -> None:
        if not hmac.compare_digest(asked.get("sig", ""), self._signature(doing, asked)):
            raise RefusedError(403, "SignatureDoesNotMatch")


async def _receive(request: Request, file: Path) -> int:
    """Writes a body to a file; returns how many bytes came."""
    got = 0
    with file.open("wb") as out:
        async for chunk in request.stream():
            out.write(chunk)
            got += len(chunk)
    return got
