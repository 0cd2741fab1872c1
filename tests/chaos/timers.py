"""What lasts a while and ends by itself, or all at once."""

import threading
from collections.abc import Callable

Which = tuple[str, str]
"""Whom it befell, and what."""


class Timers:
    """Endings that are due later. The same trouble for the same one again is one trouble, until its later end."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._due: dict[Which, tuple[threading.Timer, Callable[[], None]]] = {}

    def later(self, which: Which, seconds: float, ending: Callable[[], None]) -> None:
        """Ends it after so many seconds."""
        timer = threading.Timer(seconds, self._end, (which,))
        timer.daemon = True
        with self._lock:
            earlier = self._due.pop(which, None)
            if earlier is not None:
                earlier[0].cancel()
            self._due[which] = timer, ending
        timer.start()

    def end_all(self) -> None:
        """Ends everything now."""
        with self._lock:
            for which in list(self._due):
                self._end(which)

    def _end(self, which: Which) -> None:
        with self._lock:
            timer, ending = self._due.pop(which, (None, None))
            if timer is not None and ending is not None:
                timer.cancel()
                ending()
