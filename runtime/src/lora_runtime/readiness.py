"""When a pod may be ready: once each adapter that was declared when the engine was there is served or has failed."""

from collections.abc import Iterable


class Readiness:
    """Which names hold it back. What is declared later does not."""

    def __init__(self) -> None:
        self._awaited: set[str] | None = None

    @property
    def begun(self) -> bool:
        """Whether it is known what is waited for."""
        return self._awaited is not None

    @property
    def reached(self) -> bool:
        """Any thread: whether nothing is waited for any more."""
        return self._awaited is not None and not self._awaited

    def begin(self, names: Iterable[str]) -> None:
        """These are waited for, from now on."""
        self._awaited = set(names)

    def awaits(self, name: str) -> bool:
        """Whether this one is waited for."""
        return bool(self._awaited) and name in (self._awaited or ())

    def settled(self, name: str) -> None:
        """This one is served, has failed or is gone."""
        if self._awaited:
            self._awaited.discard(name)
