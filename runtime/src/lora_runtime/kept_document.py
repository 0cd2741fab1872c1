"""The last document, kept over a restart of the container."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from lora_api.runtime_api import Desired

log = logging.getLogger(__name__)

_HOW_WELL = 1
"""gzip's level: nothing has to fit anywhere, and it is written at each change."""


class KeptDocument:
    """One file: the mounted document lags behind, and a container that restarts must not fall back to it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "desired.json.gz"
        self._writing = asyncio.Lock()

    def or_newer(self, mounted: Path) -> Desired | None:
        """The newer of this one and the mounted one, as far as they can be read."""
        found = [document for document in (_read(mounted), _read(self._file)) if document is not None]
        return max(found, key=lambda document: document.sequence) if found else None

    async def keep(self, document: Desired, newest: Callable[[], bool]) -> None:
        """Writes it, unless it is not the newest any more when its turn comes."""
        async with self._writing:
            if newest():
                await asyncio.to_thread(self._write, document)

    def _write(self, document: Desired) -> None:
        draft = self._file.with_suffix(".draft")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as out:
                out.write(document.packed(_HOW_WELL))
                out.flush()
                os.fsync(out.fileno())
            os.replace(draft, self._file)
        except OSError as error:
            log.warning("document not kept file=%s why=%s", self._file.name, error)
            with contextlib.suppress(OSError):
                # Half of it is of no use, and takes room.
                draft.unlink(missing_ok=True)


def _read(file: Path) -> Desired | None:
    try:
        return Desired.unpacked(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.error("unreadable document file=%s why=%s; waiting for the operator's", file.name, error)
        return None
