"""What the statuses say of memory, from what the pods say."""

from lora_api.runtime_api import AdapterReport, Capacity, RevisionReport, RevisionState
from lora_api.v1alpha1.adapter import AdapterMemory
from lora_operator.domain import memory
from lora_operator.domain.observed import ObservedPod
from lora_operator.domain.replicas import serving_replicas
from support.builders import a_pod, an_inventory, unreachable

CAPACITY = Capacity(slots=9, slot_bytes=4000, max_cached=64)


def serving(
    name: str, revision: str = "11111111", *, host: int | None = 500, capacity: Capacity = CAPACITY
) -> ObservedPod:
    report = RevisionReport(revision=revision, state=RevisionState.SERVING, size_bytes=1000, host_bytes=host)
    adapter = AdapterReport(name="pirate", revisions=(report,))
    return a_pod(name, inventory=an_inventory(adapter, capacity=capacity))


def of_pirate(*pods: ObservedPod) -> AdapterMemory | None:
    return memory.of_adapter("pirate", "uid-pirate", serving_replicas(pods))


def test_an_adapter_takes_what_a_pod_that_serves_it_says() -> None:
    assert of_pirate(serving("a"), serving("b")) == AdapterMemory(disk_bytes=1000, host_bytes=500, slot_bytes=4000)


def test_of_pods_that_differ_the_largest_number_counts() -> None:
    found = of_pirate(serving("a"), serving("b", "22222222", host=900))
    assert found is not None
    assert found.host_bytes == 900


def test_an_adapter_that_no_pod_serves_takes_nothing_that_is_known() -> None:
    preparing = RevisionReport(revision="11111111", state=RevisionState.PREPARED, size_bytes=1000, host_bytes=500)
    pod = a_pod(inventory=an_inventory(AdapterReport(name="pirate", revisions=(preparing,)), capacity=CAPACITY))
    assert of_pirate(pod) is None
    assert of_pirate(a_pod(inventory=unreachable())) is None
    assert of_pirate() is None


def test_a_pod_of_an_older_runtime_leaves_open_what_it_does_not_know() -> None:
    report = RevisionReport(revision="11111111", state=RevisionState.SERVING, size_bytes=1000)
    pod = a_pod(inventory=an_inventory(AdapterReport(name="pirate", revisions=(report,))))
    assert of_pirate(pod) == AdapterMemory(disk_bytes=1000)
    assert memory.of_model((pod,)) is None


def test_a_model_has_the_room_of_its_smallest_pod() -> None:
    small = Capacity(slots=5, slot_bytes=4000, max_cached=64)
    found = memory.of_model((serving("a"), serving("b", capacity=small), a_pod("c", inventory=unreachable())))
    assert found is not None
    assert found.slots == 5
