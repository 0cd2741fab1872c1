"""Documents on their way to pods. A pass waits for pods that answer, and not for one that takes its time."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from lora_api.runtime_api import Inventory
from lora_operator.clients.runtime_admin import PodAddress, RuntimeAdmin
from lora_operator.domain.actions import PushDesired
from lora_operator.domain.observed import ModelKey, Unreachable
from lora_operator.reconcile.inventories import Inventories
from lora_operator.reconcile.spawn import Spawn

_logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 0.25
"""A pod answers within milliseconds, and within this on a busy machine. What waits for one that hangs is every other status of its
model, once: documents after the first one are not waited for."""
_PAUSE_SECONDS = 1.0
"""After one that was late and failed."""


@dataclass(slots=True)
class _Push:
    etag: str
    task: asyncio.Task[None]
    failure: str | None = None
    late: bool = False
    """Whether a pass has gone on without it; then it rings at its end."""


class Pushes:
    """Tells each pod one document at a time, the newest."""

    def __init__(
        self,
        admin: RuntimeAdmin,
        inventories: Inventories,
        spawn: Spawn,
        ring: Callable[[ModelKey], None],
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        """Takes who talks to pods, who is told what they answer, and whom to ring for when one that was late has ended."""
        self._admin = admin
        self._inventories = inventories
        self._spawn = spawn
        self._ring = ring
        self._patience_seconds = patience_seconds
        self._under_way: dict[PodAddress, _Push] = {}

    async def push(self, key: ModelKey, pod: PodAddress, action: PushDesired) -> str | None:
        """Returns why the pod was not told; None when it was, or may yet be."""
        earlier = self._under_way.get(pod)
        if earlier is not None and earlier.etag == action.document.etag:
            earlier.late = True
            return None
        if earlier is not None:
            # A pod refuses to go back, should the older one arrive after all.
            earlier.task.cancel()
        push = self._under_way[pod] = _Push(action.document.etag, self._spawn(self._tell(key, pod, action)))
        push.late = earlier is not None
        await asyncio.wait({push.task}, timeout=0 if push.late else self._patience_seconds)
        if not push.task.done() and not push.late:
            push.late = True
            _logger.info("pod %s/%s takes its time for document %s", key.namespace, pod.name, action.document.sequence)
        return push.failure

    def close(self) -> None:
        """Ends all."""
        for push in self._under_way.values():
            push.task.cancel()
        self._under_way.clear()

    async def _tell(self, key: ModelKey, pod: PodAddress, action: PushDesired) -> None:
        with self._inventories.telling(key, pod, action.document):
            answer = await self._answer(key, pod, action)
            if isinstance(answer, Inventory):
                self._inventories.told(key, pod, action.document, answer)
        push = self._under_way[pod]
        if isinstance(answer, Unreachable) and answer.refused:
            # Told once more, it would answer the same: its statuses say so until another document or another pod is there.
            self._inventories.refused(key, pod, answer.message)
        elif isinstance(answer, Unreachable):
            push.failure = f"pod {pod.name} was not told: {answer.message}"
            if push.late:
                # The next pass tells it again at once.
                await asyncio.sleep(_PAUSE_SECONDS)
        del self._under_way[pod]
        if push.late:
            self._ring(key)

    async def _answer(self, key: ModelKey, pod: PodAddress, action: PushDesired) -> Inventory | Unreachable:
        since = self._inventories.etag(key, pod)
        if action.patch is not None:
            answer = await self._admin.patch_desired(pod, action.patch.base, action.patch.patch, since)
            if answer is not None:
                return answer
        return await self._admin.put_desired(pod, action.document, since)
