"""How far a download is."""

from collections.abc import Callable

Progress = Callable[[int, int | None], None]
"""Takes bytes done and bytes in total (None: unknown); to be told before the first byte is written, and after each chunk.

May be called from worker threads. What it raises ends the fetch and is to be let through: there is no room for so
many bytes, or nobody wants them any more.
"""
