"""The way in for whoever noticed that something may have changed."""

from lora_operator.domain.observed import ModelKey
from lora_operator.reconcile.queue import KeyedQueue


class Doorbell:
    """Rings for a LoRAModel, given by namespace and name. Cheap, never fails, and says nothing of what happened."""

    def __init__(self, queue: KeyedQueue[ModelKey]) -> None:
        self._queue = queue

    def ring(self, namespace: str | None, model: str | None) -> None:
        """Asks for a pass over the model; without a name, nobody is asked."""
        if namespace and model:
            self._queue.ring(ModelKey(namespace, model))

    @property
    def oldest_wait_seconds(self) -> float:
        """How long the model that has been waiting longest has been waiting for the end of its pass."""
        return self._queue.oldest_wait_seconds
