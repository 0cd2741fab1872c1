"""How background work is started: in a task group that somebody waits for."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol


class Spawn(Protocol):
    """Starts a task whose failure ends the operator; `asyncio.TaskGroup.create_task` is one."""

    def __call__(self, work: Coroutine[Any, Any, None], /) -> asyncio.Task[None]:
        """Starts it now."""
        ...
