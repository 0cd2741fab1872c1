"""What was read of a model, and is read again once an event says that it is another.

A change of an adapter takes several passes; that a pod has loaded something is no reason to read the LoRAModel anew.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from lora_operator.clients.kube import Resource
from lora_operator.domain.observed import ModelKey


@dataclass(slots=True, eq=False)
class _Reading:
    value: Any = None
    done: bool = False


class Lately:
    """The last answers of the API server. A missed event is made good by the sweep, which doubts everything."""

    def __init__(self) -> None:
        self._models: dict[ModelKey, dict[str, _Reading]] = {}
        """By kind."""

    async def read(self, key: ModelKey, resource: Resource, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What was read of this kind for the model; asks when that is in doubt."""
        known = self._models.get(key, {}).get(resource.kind)
        if known is not None and known.done:
            return known.value
        # Whoever doubts while the answer is on its way takes this away, and what comes is good for one time only.
        reading = self._models.setdefault(key, {})[resource.kind] = _Reading()
        reading.value = await ask()
        reading.done = True
        return reading.value

    def doubt(self, key: ModelKey, kind: str | None = None) -> None:
        """Something of this kind, or of any, may be another by now."""
        if kind is None:
            self._models.pop(key, None)
        else:
            self._models.get(key, {}).pop(kind, None)

    def doubt_all(self, kind: str) -> None:
        """Events of this kind may have been missed."""
        for readings in self._models.values():
            readings.pop(kind, None)
