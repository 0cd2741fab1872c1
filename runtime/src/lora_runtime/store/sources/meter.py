"""How much of an adapter has been fetched."""

from lora_runtime.store.progress import Progress
from lora_runtime.store.sources.source import too_large


class Meter:
    """Counts bytes over all files of one adapter and stops what grows beyond the limit."""

    def __init__(self, limit: int, where: str, progress: Progress, total: int | None = None) -> None:
        self._limit, self._where, self._progress = limit, where, progress
        self._done, self._total, self._fixed = 0, total, total is not None
        self.check(total)

    def expect(self, left: int | None) -> None:
        """So many bytes follow; unless the total was known from the start, it is known now."""
        if not self._fixed:
            self._total = None if left is None else self._done + left
        self.check(self._total)
        self._progress(self._done, self._total)

    def add(self, count: int) -> None:
        """So many more bytes are there."""
        self._done += count
        self.check(self._done)
        self._progress(self._done, self._total)

    def check(self, size: int | None) -> None:
        """Refuses a size above the limit."""
        if size is not None and size > self._limit:
            raise too_large(self._where, size, self._limit)
