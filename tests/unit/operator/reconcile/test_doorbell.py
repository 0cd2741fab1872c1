"""Who is rung for when something was seen, and which changes of LoRAAdapters are followed from there."""

from typing import Any

from lora_operator.clients.clock import SystemClock
from lora_operator.clients.kube import Kube
from lora_operator.domain.observed import ModelKey
from lora_operator.reconcile.adapters import Adapters
from lora_operator.reconcile.changes import Changes
from lora_operator.reconcile.doorbell import Doorbell
from lora_operator.reconcile.experts import Experts
from lora_operator.reconcile.freshness import Freshness
from lora_operator.reconcile.lately import Lately
from lora_operator.reconcile.queue import Backoff, KeyedQueue
from support.custom_resources import ADAPTER, mutated

KEY = ModelKey("team", "smol")


class NoServer(Kube):
    """A doorbell asks nobody."""

    def __init__(self) -> None: ...


class WritesDown(KeyedQueue[ModelKey]):
    """Whom it is asked to have worked on."""

    def __init__(self) -> None:
        super().__init__(Backoff(1, 1, lambda: 1.0))
        self.rung: list[ModelKey] = []
        self.later: list[ModelKey] = []

    def ring(self, key: ModelKey) -> None:
        self.rung.append(key)

    def ring_in(self, key: ModelKey, seconds: float) -> None:
        self.later.append(key)


class Hall:
    """A doorbell, and what it leads to."""

    def __init__(self, *, at_work: bool = True) -> None:
        server, lately = NoServer(), Lately()
        self.queue, self.freshness = WritesDown(), Freshness()
        self.changes = Changes(SystemClock(), ())
        self.bell = Doorbell(
            self.queue,
            self.freshness,
            lately,
            Adapters(server, self.freshness),
            Experts(server, lately),
            self.changes,
            lambda: at_work,
        )


def stored(*, generation: int = 1, observed: int | None = None, version: int = 5) -> dict[str, Any]:
    """A LoRAAdapter as the API server tells it."""
    metadata = {
        "name": "pirate", "namespace": "team", "uid": "uid-pirate", "resourceVersion": str(version),
        "generation": generation, "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    status = {} if observed is None else {"status": {"observedGeneration": observed}}
    return mutated(ADAPTER, {"metadata": metadata} | status)


def test_an_adapter_rings_for_the_model_that_it_names_and_notes_its_version() -> None:
    hall = Hall()

    hall.bell.adapter(stored(), "ADDED")

    assert hall.queue.rung == [KEY]
    assert hall.freshness.newest("LoRAAdapter") == "5"


def test_an_adapter_of_a_list_waits_for_the_others() -> None:
    hall = Hall()

    hall.bell.adapter(stored(), None)

    assert (hall.queue.rung, hall.queue.later) == ([], [KEY])


def test_what_is_known_already_rings_for_nobody() -> None:
    hall = Hall()
    hall.bell.adapter(stored(), "ADDED")

    hall.bell.adapter(stored(), "MODIFIED")

    assert hall.queue.rung == [KEY]


def test_a_generation_that_its_status_does_not_know_is_a_change_under_way() -> None:
    hall = Hall()

    hall.bell.adapter(stored(generation=2, observed=1), "MODIFIED")

    assert hall.changes.since(KEY).keys() == {"uid-pirate"}


def test_an_adapter_that_never_had_a_status_is_a_change_under_way() -> None:
    hall = Hall()

    hall.bell.adapter(stored(), "ADDED")

    assert hall.changes.since(KEY).keys() == {"uid-pirate"}


def test_a_generation_that_its_status_knows_is_none() -> None:
    hall = Hall()

    hall.bell.adapter(stored(generation=2, observed=2), "MODIFIED")

    assert hall.changes.since(KEY) == {}


def test_who_is_not_at_work_hears_and_neither_rings_nor_follows() -> None:
    hall = Hall(at_work=False)

    hall.bell.adapter(stored(), "ADDED")
    hall.bell.ring("team", "smol", "Pod", "9")

    assert (hall.queue.rung, hall.queue.later, hall.changes.since(KEY)) == ([], [], {})
    assert (hall.freshness.newest("LoRAAdapter"), hall.freshness.newest("Pod")) == ("5", "9")


def test_an_object_without_a_model_rings_for_nobody_and_its_version_counts() -> None:
    hall = Hall()

    hall.bell.ring("team", None, "Pod", "9")

    assert (hall.queue.rung, hall.freshness.newest("Pod")) == ([], "9")
