"""The process of a pod, of whichever version is on Python's path: the stand-in for its runtime, until SIGTERM.

It is run by its path, and imports nothing but what every version has had. Into the journal goes, line by line, each set
of revisions that clients could reach by name.
"""

import json
import signal
import sys
import threading
from pathlib import Path

from support.stand_in import StandIn

_LOOK_SECONDS = 0.01


def main(root: str, host: str, port: str, tls: str, store: str, document: str, journal: str) -> None:
    """Serves.

    Args:
        root: where all of the version lies; a file from elsewhere would be of another one.
        host: address to listen on.
        port: port to listen on.
        tls: folder with the pod's certificate.
        store: the pod's own folder.
        document: the ConfigMap's copy of the desired document.
        journal: file to write.
    """
    for name, module in sys.modules.items():
        if name.partition(".")[0] in ("lora_api", "lora_runtime", "support"):
            file = getattr(module, "__file__", None)
            assert file is None or Path(file).is_relative_to(root), f"{name} is of another version: {file}"
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    runtime = StandIn(host, int(port), Path(tls), store=Path(store), document=Path(document))
    with runtime, Path(journal).open("a", encoding="utf-8") as lines:
        told = None
        while not ended.wait(_LOOK_SECONDS):
            served = {name: _revision(made.engine_name) for name, made in dict(runtime.engine.published).items()}
            if served != told:
                told = served
                lines.write(json.dumps(served) + "\n")
                lines.flush()


def _revision(engine_name: str) -> str:
    return engine_name.rpartition("@")[2].partition(".")[0]


if __name__ == "__main__":
    main(*sys.argv[1:])
