"""Adapters in a repository on the Hugging Face Hub, or on a mirror that speaks its API."""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers, disable_progress_bars

from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import HuggingFaceSource
from lora_runtime.adapters.layout import choose, split
from lora_runtime.store.digest import sha256_of
from lora_runtime.store.progress import Progress
from lora_runtime.store.sources.credentials import read_token
from lora_runtime.store.sources.hub_errors import HUB_ERRORS, explain
from lora_runtime.store.sources.meter import Meter
from lora_runtime.store.sources.source import too_large
from lora_runtime.store.sources.web_errors import damaged
from lora_runtime.store.threads import in_thread

_PARTIAL = ".part"
_API_TIMEOUT_SECONDS = 15.0

constants.DOWNLOAD_CHUNK_SIZE = 1 << 20
# The client has no setting for it. Of its own 10 MiB, a slow link loses minutes of work at each interruption, and
# notices as late that nobody wants the rest.
disable_progress_bars("huggingface_hub.http_get")  # progress is told by the inventory, not on stderr


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file at one commit."""

    name: str
    size: int | None
    sha256: str | None
    """Known for large files only."""
    blob_id: str | None
    """Of a small file: the SHA-1 that git gives it."""


@dataclass(frozen=True, slots=True)
class HuggingFaceHub:
    """Reads adapters through the hub's API; a revision is pinned to its commit."""

    endpoint: str
    credentials_root: Path
    max_bytes: int

    async def pin(self, source: AdapterSource) -> AdapterSource:
        """The source at the commit that its branch or tag names now."""
        commit, _ = await asyncio.to_thread(self._look_up, source)
        return source.model_copy(update={"hugging_face": _hub(source).model_copy(update={"revision": commit})})

    async def fetch(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        """Downloads the files; goes on where an interrupted download of the same commit stopped."""
        await in_thread(lambda tell: self._download(source, into, tell), progress)

    def _look_up(self, source: AdapterSource) -> tuple[str, dict[str, HubFile]]:
        """The commit, and the files by their names in the store."""
        hub = _hub(source)
        with self._explained(source):
            # `False`, not None: a token that happens to lie in the image's home folder is never sent
            info = HfApi(endpoint=self.endpoint, token=self._token(source) or False).model_info(
                hub.repo, revision=hub.revision, files_metadata=True, timeout=_API_TIMEOUT_SECONDS
            )
        subfolder, named = split((hub.subfolder or "").strip("/"))
        prefix = f"{subfolder}/" if subfolder else ""
        found = {
            file.name.removeprefix(prefix): file
            for file in map(_file, info.siblings or ())
            if file.name.startswith(prefix)
        }
        where = f"{source.describe()} on {self.endpoint}"
        chosen = choose(where, [name for name in found if "/" not in name], named)
        files = {name: found[there] for name, there in chosen.items()}
        size = sum(file.size or 0 for file in files.values())
        if size > self.max_bytes:
            raise too_large(source.describe(), size, self.max_bytes)
        return str(info.sha), files

    def _download(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        commit, files = self._look_up(source)
        sizes = [file.size for file in files.values()]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        meter = Meter(self.max_bytes, source.describe(), progress, total)
        for name, file in files.items():
            target = into / name
            if target.exists():
                if _is_whole(target, file):
                    meter.add(target.stat().st_size)
                    continue
                target.unlink()
            partial = target.with_name(target.name + _PARTIAL)
            self._get(source, commit, file, partial, meter)
            if file.sha256 is not None and sha256_of(partial) != file.sha256:
                partial.unlink()
                raise damaged(f"{file.name} of {source.describe()}")
            os.replace(partial, target)

    def _get(self, source: AdapterSource, commit: str, file: HubFile, partial: Path, meter: Meter) -> None:
        with partial.open("ab") as out:
            done = out.tell()
            if file.size is not None and done > file.size:
                out.truncate(0)
                done = 0
            meter.add(done)
            with self._explained(source):
                http_get(
                    hf_hub_url(_hub(source).repo, file.name, revision=commit, endpoint=self.endpoint),
                    _Metered(out, meter),  # all that http_get calls
                    resume_size=done,
                    headers=build_hf_headers(token=self._token(source) or False),
                    expected_size=file.size,
                )

    def _token(self, source: AdapterSource) -> str | None:
        ref = source.credentials_ref
        return None if ref is None else read_token(self.credentials_root, ref.name)

    @contextmanager
    def _explained(self, source: AdapterSource) -> Iterator[None]:
        ref = source.credentials_ref
        remedy = (
            "set source.credentialsRef to a Secret with a token that may read it, and list that Secret in the "
            "LoRAModel's spec.credentials"
            if ref is None
            else f"the token in Secret {ref.name} does not open it: grant it access, or put another one there"
        )
        try:
            yield
        except HUB_ERRORS as error:
            raise explain(error, _hub(source), self.endpoint, remedy) from error


class _Metered:
    """A file whose writes are counted."""

    def __init__(self, file: IO[bytes], meter: Meter) -> None:
        self._file, self._meter = file, meter

    def write(self, data: bytes) -> int:
        self._meter.add(len(data))
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def truncate(self, size: int | None = None) -> int:
        # the server ignored the range and sends the file from its start
        position = self._file.tell()
        before = self._file.seek(0, os.SEEK_END)
        self._file.seek(position)
        after = self._file.truncate(size)
        self._meter.add(after - before)
        return after


def _hub(source: AdapterSource) -> HuggingFaceSource:
    assert source.hugging_face is not None  # noqa: S101  (chosen by Sources.of)
    return source.hugging_face


def _file(sibling: Any) -> HubFile:
    lfs = sibling.lfs
    return HubFile(sibling.rfilename, sibling.size, None if lfs is None else lfs.sha256, sibling.blob_id)


def _is_whole(target: Path, file: HubFile) -> bool:
    """Whether what an earlier call left is what the hub has: it may have been lost with the power.

    Small files are named by what git hashes. A mirror may name them otherwise; then they are fetched again.
    """
    if file.sha256 is not None:
        return sha256_of(target) == file.sha256
    data = target.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == file.blob_id
