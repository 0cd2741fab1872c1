"""What a pod prints, as soon as it does: its container's log, which the kubelet keeps on this machine."""

import asyncio
import os
from pathlib import Path

_LOOK_AGAIN_SECONDS = 0.001


class Printed:
    """One container's log, from now on."""

    def __init__(self, file: Path) -> None:
        """Takes the file, which must be there."""
        self._file = file.open("rb")
        self._file.seek(0, os.SEEK_END)

    @classmethod
    def of(cls, logs: Path, namespace: str, pod: str, uid: str) -> "Printed":
        """The newest log of a pod with one container; `logs` is the kubelet's folder of all pods' logs."""
        files = (logs / f"{namespace}_{pod}_{uid}").glob("*/*.log")
        return cls(max(files, key=lambda file: file.stat().st_mtime))

    async def until(self, words: str) -> None:
        """Reads on until it has come to a line that has these words in it."""
        sought, rest = words.encode(), b""
        while True:
            lines = (rest + self._file.read()).split(b"\n")
            rest = lines.pop()
            if any(sought in line for line in lines):
                return
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    def skip(self) -> None:
        """Does not look at what has been printed so far."""
        self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
