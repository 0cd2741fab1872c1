"""What the pod has, read from its inventory, its store and its engine's capacity when Prometheus asks."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from lora_api.runtime_api import Inventory, RevisionState
from lora_runtime.engine.protocol import Tier
from lora_runtime.metrics.labels import AdapterLabels
from lora_runtime.store.budget import Fill


class InventoryCollector(Collector):
    """Keeps nothing. Called from any thread."""

    def __init__(
        self,
        labels: AdapterLabels,
        inventory: Callable[[], Inventory],
        tiers: Callable[[], Mapping[Tier, int]],
        store_bytes: Callable[[], Mapping[str, int]],
        store_limit_bytes: int | None,
        fill: Callable[[], Fill | None],
    ) -> None:
        """Takes which adapters may be listed by name, and where to look."""
        self._labels = labels
        self._inventory = inventory
        self._tiers = tiers
        self._store_bytes = store_bytes
        self._store_limit_bytes = store_limit_bytes
        self._fill = fill

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The families without samples, so that nothing is looked at while the process starts."""
        yield from (
            _info(),
            _revisions(),
            _disk(),
            _host(),
            _slots(),
            _slot_bytes(),
            _max_cached(),
            _tiers(),
            _store(),
            _store_limit(),
            _needed(),
            _possible(),
        )

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See Collector.collect."""
        inventory = self._inventory()
        yield from self._adapters(inventory)
        if (capacity := inventory.capacity) is not None:
            for family, value in (
                (_slots(), capacity.slots),
                (_slot_bytes(), capacity.slot_bytes),
                (_max_cached(), capacity.max_cached),
            ):
                family.add_metric([], value)
                yield family
        found, tiers = self._tiers(), _tiers()
        for tier in Tier:
            tiers.add_metric([tier.value], found.get(tier, 0))
        yield tiers
        store = _store()
        for kind, size in self._store_bytes().items():
            store.add_metric([kind], size)
        yield store
        if self._store_limit_bytes is not None:
            limit = _store_limit()
            limit.add_metric([], self._store_limit_bytes)
            yield limit
        if (fill := self._fill()) is not None:
            for family, value in ((_needed(), fill.needed_bytes), (_possible(), fill.possible_bytes)):
                family.add_metric([], value)
                yield family

    def _adapters(self, inventory: Inventory) -> Iterator[GaugeMetricFamily]:
        info, revisions, disk, host = _info(), _revisions(), _disk(), _host()
        shown = self._labels.shown(adapter.name for adapter in inventory.adapters)
        states: Counter[RevisionState] = Counter()
        for adapter in inventory.adapters:
            states.update(report.state for report in adapter.revisions)
            if adapter.name not in shown:
                continue
            # A revision may be here twice: on its way out, and coming back.
            for revision, state in sorted({(r.revision, r.state) for r in adapter.revisions}):
                info.add_metric([adapter.name, revision, state.value], 1)
            disk.add_metric([adapter.name], sum({r.revision: r.size_bytes or 0 for r in adapter.revisions}.values()))
            host.add_metric([adapter.name], sum(r.host_bytes or 0 for r in adapter.revisions))
        for state in RevisionState:
            revisions.add_metric([state.value], states[state])
        yield from (info, revisions, disk, host)


def _info() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "lora_runtime_adapter_info",
        "Always 1: each revision of each adapter that is listed, and its state.",
        labels=["adapter", "revision", "state"],
    )


def _revisions() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "lora_runtime_revisions",
        "Revisions of all adapters by state; Draining ones are drains in flight.",
        labels=["state"],
    )


def _disk() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "lora_runtime_adapter_disk_bytes", "Published tensors of the adapter's revisions on disk.", labels=["adapter"]
    )


def _host() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "lora_runtime_adapter_host_bytes",
        "What the adapter's loaded revisions take in the engine's host cache while they are there.",
        labels=["adapter"],
    )


def _slots() -> GaugeMetricFamily:
    return GaugeMetricFamily("lora_runtime_slots", "Adapters that can take part in one batch.")


def _slot_bytes() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "lora_runtime_slot_bytes", "Device memory of one slot over all devices, whatever adapter is in it."
    )


def _max_cached() -> GaugeMetricFamily:
    return GaugeMetricFamily("lora_runtime_max_cached_adapters", "Adapters that the engine holds in host memory.")


def _tiers() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "lora_runtime_adapters",
        "Revisions ready to be used, by where they wait for their next request.",
        labels=["tier"],
    )


def _store() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "lora_runtime_store_bytes", "Files of adapters on the pod's disk, by kind.", labels=["kind"]
    )


def _store_limit() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "lora_runtime_store_limit_bytes",
        "What the pod's cache volume may hold, with the base model and caches beside the store.",
    )


def _needed() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "lora_runtime_store_needed_bytes", "Files of adapters that must stay, when they were last counted."
    )


def _possible() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "lora_runtime_store_possible_bytes", "What files of adapters may take at most, when that was last looked at."
    )
