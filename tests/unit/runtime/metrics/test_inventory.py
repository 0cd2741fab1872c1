"""What a scrape says of the pod is what its inventory says then."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from lora_api.runtime_api import AdapterReport, Capacity, Inventory, RevisionReport, RevisionState
from lora_runtime.engine.protocol import Tier
from lora_runtime.metrics.inventory import InventoryCollector
from lora_runtime.metrics.labels import AdapterLabels
from lora_runtime.store.budget import Fill


class Pod:
    """A registry with a collector, and the inventory that it finds."""

    def __init__(self, limit: int = 5) -> None:
        self.inventory = Inventory(boot_id="b", etag="e")
        self.registry = CollectorRegistry()
        self.fill: Fill | None = None
        self.labels = AdapterLabels("base", limit)
        collector = InventoryCollector(
            self.labels,
            lambda: self.inventory,
            lambda: {Tier.HOST: 3},
            lambda: {"versions": 7},
            100,
            lambda: self.fill,
        )
        self.registry.register(collector)

    def has(self, *adapters: AdapterReport, capacity: Capacity | None = None) -> None:
        self.inventory = Inventory(boot_id="b", etag="e", adapters=adapters, capacity=capacity)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"lora_runtime_{name}", labels)


@pytest.fixture
def pod() -> Pod:
    return Pod()


def a_revision(revision: str, state: RevisionState, size: int | None = None, host: int | None = None) -> RevisionReport:
    return RevisionReport(revision=revision, state=state, size_bytes=size, host_bytes=host)


def test_each_revision_of_an_adapter_is_listed_with_its_state(pod: Pod) -> None:
    old = a_revision("11111111", RevisionState.DRAINING, 100, 50)
    pod.has(AdapterReport(name="a", revisions=(old, a_revision("22222222", RevisionState.SERVING, 200, 80))))
    assert pod.value("adapter_info", adapter="a", revision="11111111", state="Draining") == 1
    assert pod.value("adapter_info", adapter="a", revision="22222222", state="Serving") == 1
    assert pod.value("revisions", state="Draining") == 1
    assert pod.value("revisions", state="Failed") == 0
    assert pod.value("adapter_disk_bytes", adapter="a") == 300
    assert pod.value("adapter_host_bytes", adapter="a") == 130
    pod.has()
    assert pod.value("adapter_info", adapter="a", revision="22222222", state="Serving") is None
    assert pod.value("revisions", state="Serving") == 0


def test_a_revision_that_drains_and_comes_back_is_one_file_and_two_copies_in_memory(pod: Pod) -> None:
    revisions = (
        a_revision("11111111", RevisionState.DRAINING, 100, 50),
        a_revision("11111111", RevisionState.PREPARED, 100, 50),
    )
    pod.has(AdapterReport(name="a", revisions=revisions))
    assert pod.value("adapter_disk_bytes", adapter="a") == 100
    assert pod.value("adapter_host_bytes", adapter="a") == 100


def test_thousands_of_adapters_are_counted_and_only_some_are_listed() -> None:
    pod = Pod(limit=3)
    pod.labels.of("n1999")
    pod.has(
        *(AdapterReport(name=f"n{n}", revisions=(a_revision("1" * 8, RevisionState.SERVING),)) for n in range(2000))
    )
    assert pod.value("revisions", state="Serving") == 2000
    assert pod.value("adapter_info", adapter="n1999", revision="1" * 8, state="Serving") == 1
    assert generate_latest(pod.registry).count(b"lora_runtime_adapter_info{") == 3


def test_room_in_the_engine_is_told_once_there_is_an_engine(pod: Pod) -> None:
    assert pod.value("slots") is None
    pod.has(capacity=Capacity(slots=9, slot_bytes=4000, max_cached=64))
    assert (pod.value("slots"), pod.value("slot_bytes"), pod.value("max_cached_adapters")) == (9, 4000, 64)
    assert pod.value("store_bytes", kind="versions") == 7
    assert pod.value("store_limit_bytes") == 100
    assert (pod.value("adapters", tier="Host"), pod.value("adapters", tier="Disk")) == (3, 0)


def test_nothing_is_looked_at_before_the_first_scrape() -> None:
    def too_early() -> Inventory:
        raise AssertionError("the service is not there yet")

    CollectorRegistry(auto_describe=True).register(
        InventoryCollector(AdapterLabels("base", 1), too_early, dict, dict, None, lambda: None)
    )


def test_how_full_the_store_is_is_told_once_it_was_tidied(pod: Pod) -> None:
    assert pod.value("store_needed_bytes") is None
    pod.fill = Fill(needed_bytes=70, possible_bytes=100)
    assert (pod.value("store_needed_bytes"), pod.value("store_possible_bytes")) == (70, 100)
