"""What adapters take in the pods, from what the pods say."""

from collections.abc import Sequence

from lora_api.v1alpha1.adapter import AdapterMemory
from lora_api.v1alpha1.model import ModelCapacity
from lora_operator.domain.observed import ObservedPod
from lora_operator.domain.replicas import Replica, serving_replicas


def of_adapter(served_name: str, uid: str, replicas: Sequence[Replica]) -> AdapterMemory | None:
    """What the revision that is served under a name takes in a pod; None while no pod serves it.

    Of several pods the one where it takes most: they differ while an update goes from pod to pod.
    """
    disk: list[int] = []
    host: list[int] = []
    slot: list[int] = []
    for replica in replicas:
        revision = replica.serving(served_name, uid)
        report = None if revision is None else replica.report(served_name, revision)
        if report is None:
            continue
        disk += [report.size_bytes] if report.size_bytes is not None else []
        host += [report.host_bytes] if report.host_bytes is not None else []
        slot += [replica.capacity.slot_bytes] if replica.capacity is not None else []
    if not disk:
        return None
    return AdapterMemory(disk_bytes=max(disk), host_bytes=max(host, default=None), slot_bytes=max(slot, default=None))


def of_model(pods: tuple[ObservedPod, ...]) -> ModelCapacity | None:
    """Room for adapters in a pod; None while no pod serves. Of several pods the one with the fewest slots.

    They differ while the pods of an old template go.
    """
    found = [replica.capacity for replica in serving_replicas(pods) if replica.capacity is not None]
    if not found:
        return None
    least = min(found, key=lambda capacity: (capacity.slots, capacity.max_cached, capacity.slot_bytes))
    return ModelCapacity(slots=least.slots, slot_bytes=least.slot_bytes, max_cached=least.max_cached)
