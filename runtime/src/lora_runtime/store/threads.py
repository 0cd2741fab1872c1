"""Work in threads that ends soon after nobody wants it any more."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from lora_runtime.store.flights import to_the_end
from lora_runtime.store.progress import Progress

T = TypeVar("T")


class Interrupted(Exception):
    """Raised in a thread, from its report of progress: nobody wants the result any more."""


async def in_thread(work: Callable[[Progress], T], progress: Progress) -> T:
    """What `work` returns, done in a thread.

    When the caller is cancelled, the next time that `work` tells its progress raises Interrupted there. The caller
    is held until the thread has ended, so that nothing goes on behind the back of whoever comes next.
    """
    stop = threading.Event()

    def tell(done: int, total: int | None) -> None:
        if stop.is_set():
            raise Interrupted
        progress(done, total)

    return await to_the_end(asyncio.to_thread(work, tell), stop.set)
