"""The way in for whoever noticed that something may have changed."""

from collections.abc import Callable, Mapping
from typing import Any

from lora_api.v1alpha1.adapter import LoRAAdapter
from lora_api.v1alpha1.model import LoRAModel
from lora_operator.domain.observed import ModelKey
from lora_operator.reconcile import reading
from lora_operator.reconcile.adapters import Adapters
from lora_operator.reconcile.changes import Changes
from lora_operator.reconcile.experts import Experts
from lora_operator.reconcile.freshness import Freshness
from lora_operator.reconcile.lately import Lately
from lora_operator.reconcile.queue import KeyedQueue

_TOGETHER_SECONDS = 0.1


class Doorbell:
    """Rings for a LoRAModel. Cheap; what happened is looked up later.

    While another operator is at work nobody is rung for: who takes over looks at everything first.
    """

    def __init__(
        self,
        queue: KeyedQueue[ModelKey],
        freshness: Freshness,
        lately: Lately,
        adapters: Adapters,
        experts: Experts,
        changes: Changes,
        at_work: Callable[[], bool],
    ) -> None:
        self._at_work = at_work
        self._queue = queue
        self._freshness = freshness
        self._lately = lately
        self._adapters = adapters
        self._experts = experts
        self._changes = changes

    def ring(self, namespace: str | None, model: str | None, kind: str, version: str | None) -> None:
        """Asks for a pass over the model, because an object of this kind was seen at this resource version.

        Without a name nobody is asked.
        """
        self._freshness.note(kind, version)
        if namespace and model:
            self._lately.doubt(ModelKey(namespace, model), kind)
            if self._at_work():
                self._queue.ring(ModelKey(namespace, model))
            if kind == LoRAModel.kind:
                self._ring_all(self._experts.concerned_by_model(namespace, model))

    def adapter(self, stored: Mapping[str, Any], event: str | None) -> None:
        """A LoRAAdapter was seen, which spares its model a look at all of them."""
        key, metadata = reading.model_of(stored), stored["metadata"]
        observed: int = (stored.get("status") or {}).get("observedGeneration", 0)
        if self._at_work() and metadata["generation"] > observed:
            self._changes.seen(key, metadata["uid"], metadata["name"], metadata["generation"])
        is_news = self._adapters.seen(stored, event)
        self._freshness.note(LoRAAdapter.kind, metadata["resourceVersion"])
        self._ring_all(self._experts.concerned_by_adapter(metadata["namespace"], metadata["name"]))
        if not self._at_work() or not is_news:
            return
        if event is None:
            # One of a list with which a watch begins: it is not looked at before the others have come.
            self._queue.ring_in(key, _TOGETHER_SECONDS)
        else:
            self._queue.ring(key)

    def _ring_all(self, keys: tuple[ModelKey, ...]) -> None:
        if self._at_work():
            for key in keys:
                self._queue.ring(key)

    @property
    def oldest_wait_seconds(self) -> float:
        """How long the model that has been waiting longest has been waiting for the end of its pass."""
        return self._queue.oldest_wait_seconds
