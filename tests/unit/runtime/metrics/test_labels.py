"""Clients can send any name, and there may be thousands of adapters: the number of series is bounded all the same."""

from prometheus_client import CollectorRegistry

from lora_runtime.metrics.labels import OTHER, AdapterLabels
from lora_runtime.metrics.traffic import Traffic
from lora_runtime.observer import UNKNOWN, Outcome


def adapters(registry: CollectorRegistry) -> set[str]:
    samples = (sample for family in registry.collect() for sample in family.samples)
    return {sample.labels["adapter"] for sample in samples if "adapter" in sample.labels}


def test_the_first_names_have_a_label_of_their_own_and_the_others_share_one() -> None:
    labels = AdapterLabels("base", limit=2)
    assert [labels.of(name) for name in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]


def test_the_base_and_unknown_names_take_no_adapter_s_place() -> None:
    labels = AdapterLabels("base", limit=1)
    assert [labels.of(name) for name in ("base", UNKNOWN, "a", "base")] == ["base", UNKNOWN, "a", "base"]


def test_a_removed_adapter_makes_room_for_the_next_one() -> None:
    labels = AdapterLabels("base", limit=1)
    labels.of("a")
    labels.forget("a")
    labels.forget("never seen")
    assert labels.of("b") == "b"


def test_those_with_a_label_of_their_own_are_listed_before_others() -> None:
    labels = AdapterLabels("base", limit=2)
    labels.of("z")
    assert labels.shown(["a", "b", "z"]) == {"a", "z"}
    assert labels.shown(["a", "b"]) == {"a", "b"}


def test_all_series_of_a_removed_adapter_go_and_nobody_else_s() -> None:
    registry = CollectorRegistry()
    traffic = Traffic(AdapterLabels("base", limit=5), registry)
    for name in ("a", "b", "base"):
        traffic.ended(name, Outcome.OK)
        traffic.of(name).gap.observe(0.1)
    traffic.forget("a")
    traffic.forget("never seen")
    assert adapters(registry) == {"b", "base"}
    traffic.ended("a", Outcome.OK)
    assert registry.get_sample_value("lora_runtime_requests_total", {"adapter": "a", "outcome": "ok"}) == 1


def test_a_thousand_names_make_no_more_series_than_the_limit_allows() -> None:
    registry = CollectorRegistry()
    traffic = Traffic(AdapterLabels("base", limit=10), registry)
    for number in range(1000):
        traffic.ended(f"n{number}", Outcome.OK)
    assert len(adapters(registry)) == 11
    others = {"adapter": OTHER, "outcome": "ok"}
    assert registry.get_sample_value("lora_runtime_requests_total", others) == 990
