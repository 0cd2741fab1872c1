"""What a pod prints, as soon as it does: its container's log, which the kubelet keeps on this machine."""

import asyncio
import os
import subprocess
from pathlib import Path

_CHUNK_BYTES = 65536


class Printed:
    """One container's log, from now on. For one event loop.

    `tail` sleeps until the file grows: to look again and again would take the same cores as what is measured.
    """

    def __init__(self, file: Path) -> None:
        """Takes the file, which must be there."""
        self._tail = subprocess.Popen(["tail", "--lines=0", "--follow", str(file)], stdout=subprocess.PIPE, bufsize=0)
        assert self._tail.stdout is not None
        self._pipe = self._tail.stdout.fileno()
        self._text = b""
        self._grown = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._pipe, self._read)

    @classmethod
    def of(cls, logs: Path, namespace: str, pod: str, uid: str) -> "Printed":
        """The newest log of a pod with one container; `logs` is the kubelet's folder of all pods' logs."""
        files = (logs / f"{namespace}_{pod}_{uid}").glob("*/*.log")
        return cls(max(files, key=lambda file: file.stat().st_mtime))

    def _read(self) -> None:
        chunk = os.read(self._pipe, _CHUNK_BYTES)
        if not chunk:
            asyncio.get_running_loop().remove_reader(self._pipe)
        self._text += chunk
        self._grown.set()

    async def until(self, words: str) -> None:
        """Returns when these words have been printed."""
        sought = words.encode()
        while sought not in self._text:
            self._grown.clear()
            await self._grown.wait()

    def skip(self) -> None:
        """Does not look at what has been printed so far."""
        self._text = b""

    def close(self) -> None:
        """Ends."""
        asyncio.get_running_loop().remove_reader(self._pipe)
        self._tail.kill()
        self._tail.communicate()
