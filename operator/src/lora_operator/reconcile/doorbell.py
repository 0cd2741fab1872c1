"""The way in for whoever noticed that something may have changed."""

from collections.abc import Callable

from lora_operator.domain.observed import ModelKey
from lora_operator.reconcile.freshness import Freshness
from lora_operator.reconcile.queue import KeyedQueue


class Doorbell:
    """Rings for a LoRAModel. Cheap, and says nothing of what happened.

    While another operator is at work nobody is rung for: who takes over looks at everything first.
    """

    def __init__(self, queue: KeyedQueue[ModelKey], freshness: Freshness, at_work: Callable[[], bool]) -> None:
        self._queue = queue
        self._freshness = freshness
        self._at_work = at_work

    def ring(self, namespace: str | None, model: str | None, kind: str, version: str | None) -> None:
        """Asks for a pass over the model, because an object of this kind was seen at this resource version.

        Without a name nobody is asked.
        """
        self._freshness.note(kind, version)
        if namespace and model and self.at_work:
            self._queue.ring(ModelKey(namespace, model))

    @property
    def at_work(self) -> bool:
        """Whether this is the operator that works."""
        return self._at_work()

    @property
    def oldest_wait_seconds(self) -> float:
        """How long the model that has been waiting longest has been waiting for the end of its pass."""
        return self._queue.oldest_wait_seconds
