"""What the loop needs of an engine that serves a mixture."""

from pathlib import Path
from typing import Protocol


class Busy(Exception):
    """Requests under way did not end in time; the mixture is the one before."""


class NotExchanged(Exception):
    """The engine did not take another mixture; it serves the one before."""


class MixtureEngine(Protocol):
    """May be called from any event loop."""

    async def exchange(self, folder: Path, before: Path, drain_seconds: float) -> None:
        """Serves another mixture of the same shape, to every request that has not begun.

        Those that come meanwhile wait, and are answered by the new one; each answer is of one mixture to its end.

        Args:
            folder: Of the other one.
            before: Of the one that is served now.
            drain_seconds: How long requests under way may take to end.

        Raises:
            Busy: they took longer; nothing has changed.
            NotExchanged: with the engine's words; nothing has changed.
        """
        ...
