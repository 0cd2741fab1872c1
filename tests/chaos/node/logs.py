"""The logs of every container that a node had: the kubelet removes a pod's together with the pod."""

import contextlib
import glob
import shutil
import threading
from pathlib import Path
from typing import BinaryIO

_EVERY_SECONDS = 0.5


class Logs:
    """Holds on to each log from soon after it is begun."""

    def __init__(self, source: Path, target: Path) -> None:
        """Takes the kubelet's folder of logs, and where they are to be in the end."""
        self._source, self._target = source, target
        self._open: dict[str, BinaryIO] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Writes what all of them say."""
        self._closed.set()
        self._thread.join()
        self.look()
        for name, log in self._open.items():
            kept = self._target / name
            kept.parent.mkdir(parents=True, exist_ok=True)
            with log, kept.open("wb") as copy:
                shutil.copyfileobj(log, copy)

    def _follow(self) -> None:
        while not self._closed.wait(_EVERY_SECONDS):
            self.look()

    def look(self) -> None:
        """Opens those that are new."""
        # Not Path.glob: it fails when a folder goes while it looks, as those of pods do.
        for name in glob.glob("*/*/*.log", root_dir=self._source):
            if name not in self._open:
                # An open file can be read although its name is gone.
                with contextlib.suppress(FileNotFoundError):
                    self._open[name] = (self._source / name).open("rb")
