"""How the process ends while it is still starting: at once, with all that it has begun, and with the cause as its last words.

vLLM raises KeyboardInterrupt from its handler of SIGTERM until it serves. Raised while it waits for its engine's first message,
that is lost: server and engine then wait for each other until VLLM_ENGINE_READY_TIMEOUT_S is over. Nothing that was served
needs an end with grace yet.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from functools import wraps
from types import FrameType
from typing import Any

import psutil

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_TRACKER = "resource_tracker"
"""Part of multiprocessing: ends by itself, once it has removed the shared memory that the others have left."""

_CAUSE_ABOVE = "See root cause above"
"""What vLLM raises where its engine could not start has these words, and never the cause."""


def end_at_once_when_told() -> None:
    """From now on, and until others handle these signals. For the main thread."""
    for number in _SIGNALS:
        signal.signal(number, _end)


def also_while_vllm_starts(entry: Any) -> None:
    """Has the same once vLLM's module `entry` has set its own handler, until its server handles signals."""
    setup = entry.setup_server

    @wraps(setup)
    def _setup_server(*arguments: Any, **options: Any) -> Any:
        end_at_once_when_told()
        return setup(*arguments, **options)

    entry.setup_server = _setup_server


@contextlib.contextmanager
def with_the_engines_words_last() -> Iterator[None]:
    """Ends the process without a traceback where its engine could not start.

    The engine's process has printed the cause by then. Of the log, its end alone gets into the LoRAModel's condition, and the
    traceback of who waited for the engine would fill that.
    """
    try:
        yield
    except RuntimeError as error:
        if _CAUSE_ABOVE not in str(error):
            raise
        sys.exit("lora_runtime: vLLM's engine could not start, for the reason above")


def _end(number: int, _: FrameType | None) -> None:
    # By now nothing of Python's may be counted on: it is called wherever the process was.
    os.write(2, b"lora_runtime: told to end while it starts\n")
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if not any(_TRACKER in word for word in child.cmdline()):
                    child.kill()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # The first process of a container does not get that from itself.
    os._exit(128 + number)
