"""The last document, kept over a restart of the container."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from lora_api.runtime_api import Desired
from lora_runtime import whole_files

log = logging.getLogger(__name__)

_HOW_WELL = 0
"""gzip's level: nothing has to fit anywhere, and to compress thousands of entries at each change takes longer than to write them."""
_LATER_SECONDS = 0.25
"""So long, the first answers of what it switches have the machine for themselves, and what comes meanwhile is one write."""


class KeptDocument:
    """One file: the mounted document lags behind, and a container that restarts must not fall back to it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "desired.json.gz"
        self._writing = asyncio.Lock()
        self._due = False
        """Whether a write is about to begin."""
        self._written: Desired | None = None

    def or_newer(self, mounted: Path) -> Desired | None:
        """The newer of this one and the mounted one, as far as they can be read."""
        found = [document for document in (_read(mounted), _read(self._file)) if document is not None]
        return max(found, key=lambda document: document.sequence) if found else None

    async def keep(self, newest: Callable[[], Desired]) -> None:
        """Writes, in a moment, what is the newest then, unless it serves as what is written.

        What is only to be prepared is not in the ConfigMap either: whoever lacks it is told.
        """
        if self._due:
            return
        self._due = True
        await asyncio.sleep(_LATER_SECONDS)
        self._due = False
        async with self._writing:
            document = newest()
            if self._written is None or not document.serves_as(self._written):
                await asyncio.to_thread(self._write, document)

    def _write(self, document: Desired) -> None:
        try:
            whole_files.write(self._file, document.packed(_HOW_WELL))
            self._written = document
        except OSError as error:
            log.warning("document not kept file=%s why=%s", self._file.name, error)


def _read(file: Path) -> Desired | None:
    try:
        return Desired.unpacked(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.error("unreadable document file=%s why=%s; waiting for the operator's", file.name, error)
        return None
