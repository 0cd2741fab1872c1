"""All series of this runtime, in one registry."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry

from lora_api.runtime_api import Inventory
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.engine.protocol import Tier
from lora_runtime.metrics.inventory import InventoryCollector
from lora_runtime.metrics.labels import AdapterLabels
from lora_runtime.metrics.lifecycle import Lifecycle
from lora_runtime.metrics.traffic import Traffic
from lora_runtime.observer import Composed, Stage
from lora_runtime.store.budget import Fill

ADAPTERS = 100
"""So many adapters have a label of their own; each costs about forty series."""


class Metrics:
    """An Observer, and the series of those who know what they count."""

    def __init__(self, base: str, registry: CollectorRegistry) -> None:
        """Takes the base model's served name, and the registry that the serving port's /metrics shows."""
        self._registry = registry
        self._labels = AdapterLabels(base, ADAPTERS)
        self.traffic = Traffic(self._labels, registry)
        self.lifecycle = Lifecycle(registry)

    def read(
        self,
        inventory: Callable[[], Inventory],
        tiers: Callable[[], Mapping[Tier, int]],
        store_bytes: Callable[[], Mapping[str, int]],
        store_limit_bytes: int | None,
        fill: Callable[[], Fill | None],
    ) -> None:
        """From now on shows what there is, too; what can be called is called from any thread, at each scrape."""
        self._registry.register(
            InventoryCollector(self._labels, inventory, tiers, store_bytes, store_limit_bytes, fill)
        )

    def took(self, stage: Stage, seconds: float) -> None:
        """See Observer.took."""
        self.lifecycle.took(stage, seconds)

    def failed(self, reason: Reason) -> None:
        """See Observer.failed."""
        self.lifecycle.failed(reason)

    def composed(self, outcome: Composed, kept: int) -> None:
        """See Observer.composed."""
        self.lifecycle.composed(outcome, kept)

    def forget(self, name: str) -> None:
        """See Observer.forget."""
        self.traffic.forget(name)
