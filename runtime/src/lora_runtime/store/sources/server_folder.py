"""The files of an adapter on a server that names versions by ETags and lists nothing: HTTP, S3, Google Cloud Storage."""

import asyncio
from pathlib import Path
from typing import Protocol

from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.sources import ETags
from lora_runtime.adapters.errors import (
    ADAPTER_FILES,
    CONFIG_FILE,
    PICKLES,
    TENSORS_FILE,
    Refused,
    incomplete,
    not_fetched,
)
from lora_runtime.adapters.layout import GGUF_FILE
from lora_runtime.store.progress import Progress
from lora_runtime.store.sources.meter import Meter
from lora_runtime.store.sources.source import too_large
from lora_runtime.store.sources.web import Found, Place, Session, Web
from lora_runtime.store.sources.web_errors import Answered

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOT_MARK = ".boot"


class ServerFolder(Protocol):
    """Where the files are, and what refusals mean there."""

    @property
    def where(self) -> str:
        """The folder in words."""
        ...

    @property
    def gguf(self) -> str | None:
        """Name of the GGUF file that the source leads to; None for PEFT's two files."""
        ...

    def place(self, name: str) -> Place:
        """A file of the folder, with credentials read and signed now."""
        ...

    def lacks(self, answer: Answered) -> bool:
        """Whether the server says that the folder has no such file, and no more than that."""
        ...

    def explain(self, answer: Answered, where: str) -> Refused:
        """What it means that the server refuses."""
        ...


async def pin_etags(web: Web, folder: ServerFolder) -> ETags | None:
    """The versions of the files as they are now; None when the server does not name them.

    Raises:
        Refused: they are not all there, cannot be read, or are too large.
    """
    async with web.session() as session:
        if folder.gguf is not None:
            return await _pin_gguf(session, folder, folder.gguf, web.max_bytes)
        found = {name: await _look(session, folder, name) for name in ADAPTER_FILES}
        if found[TENSORS_FILE] is None:
            found |= {name: await _look(session, folder, name) for name in PICKLES[:1]}
    problem = incomplete(folder.where, [name for name, file in found.items() if file is not None])
    if problem is not None:
        raise problem
    size = sum(file.size or 0 for file in found.values() if file is not None)
    if size > web.max_bytes:
        raise too_large(folder.where, size, web.max_bytes)
    config, tensors = (file and file.etag for file in (found[CONFIG_FILE], found[TENSORS_FILE]))
    return ETags(config=config, tensors=tensors) if config and tensors else None


async def _pin_gguf(session: Session, folder: ServerFolder, name: str, max_bytes: int) -> ETags | None:
    file = await _look(session, folder, name)
    if file is None:
        raise not_fetched(Reason.SOURCE_NOT_FOUND, f"{folder.where} is not there; correct the source", retryable=True)
    if (file.size or 0) > max_bytes:
        raise too_large(folder.where, file.size or 0, max_bytes)
    return ETags(tensors=file.etag) if file.etag else None


async def fetch_files(web: Web, folder: ServerFolder, etags: ETags | None, into: Path, progress: Progress) -> None:
    """Downloads the files; goes on where an interrupted download of the same versions stopped.

    Raises:
        Refused: they cannot be read, or are other versions.
    """
    await asyncio.to_thread(_clear_unless_of_this_boot, into)
    meter = Meter(web.max_bytes, folder.where, progress)
    async with web.session() as session:
        # the large one first: from then on the total is known, but for some hundred bytes
        names = (
            {TENSORS_FILE: TENSORS_FILE, CONFIG_FILE: CONFIG_FILE} if folder.gguf is None else {GGUF_FILE: folder.gguf}
        )
        for name, there in names.items():
            etag = None if etags is None else etags.config if name == CONFIG_FILE else etags.tensors
            place = folder.place(there)
            resume = etag is not None and not etag.startswith("W/")
            try:
                await session.download(place, into / name, meter, etag=etag, resume=resume)
            except Answered as answer:
                raise folder.explain(answer, place.where) from answer
    await asyncio.to_thread((into / _BOOT_MARK).unlink)


def _clear_unless_of_this_boot(into: Path) -> None:
    """Nothing tells whether what an earlier attempt left is whole: when the machine went down since, it may not be."""
    mark, boot = into / _BOOT_MARK, _read(_BOOT_ID)
    if boot and _read(mark) == boot:
        return
    for file in into.iterdir():
        file.unlink()
    mark.write_text(boot)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


async def _look(session: Session, folder: ServerFolder, name: str) -> Found | None:
    place = folder.place(name)
    try:
        return await session.look(place)
    except Answered as answer:
        if folder.lacks(answer):
            return None
        raise folder.explain(answer, place.where) from answer
