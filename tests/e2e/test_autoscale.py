"""The autoscaler of Kubernetes, told what the pods themselves count: a pod comes with the load, and goes with it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from kubernetes import config
from prometheus_client.parser import text_string_to_metric_families

from e2e.conftest import MODEL, NAMESPACE, READY_SECONDS, REPLICAS, Json, World, an_adapter
from e2e.load import Load
from e2e.test_live_change import serves
from support.custom_resources import mutated
from support.external_metrics import ExternalMetrics, external_metrics, the_autoscaler_of_the_how_to

GENERATED = "lora_runtime_generation_tokens_total"
METRIC = "lora_runtime_generation_tokens_per_second"
PER_POD = 10
"""Tokens a second: far less than the load, far more than nobody."""
WINDOW_SECONDS = 10.0


@pytest.fixture
def metrics(clean: World, tmp_path: Path) -> Iterator[ExternalMetrics]:
    with (
        config.new_client_from_config(config_file=str(clean.cluster.kubeconfig)) as api,
        external_metrics(api, NAMESPACE, tmp_path, clean.cluster.outside_address) as found,
    ):
        yield found


@pytest.fixture
def autoscaled(clean: World, metrics: ExternalMetrics) -> Iterator[World]:
    """The world while an autoscaler may give the model one pod more."""
    metrics.say(METRIC, 0)
    clean.apply(an_autoscaler())
    try:
        yield clean
    finally:
        clean.kubectl("delete", "hpa", MODEL)
        clean.kubectl("scale", "loramodel", MODEL, f"--replicas={REPLICAS}")
        clean.until("the two pods again", clean.all_pods_ready, READY_SECONDS)


def test_a_pod_more_comes_with_the_load_and_goes_with_it(autoscaled: World, metrics: ExternalMetrics) -> None:
    autoscaled.apply(an_adapter("a", "a"))
    autoscaled.ready("a")
    before, throughput = autoscaled.restarts(), Throughput(autoscaled)

    def are_ready(replicas: int) -> bool:
        metrics.say(METRIC, throughput.per_second())
        return autoscaled.all_pods_ready(replicas)

    with Load.of(autoscaled, "a").running():
        autoscaled.until("a third pod", lambda: are_ready(REPLICAS + 1), READY_SECONDS)
        serves(autoscaled, "a", ("a", 1.0))
        assert before.items() <= autoscaled.restarts().items()
    autoscaled.until("two again", lambda: are_ready(REPLICAS))
    assert autoscaled.get("loramodel", MODEL)["spec"]["replicas"] == REPLICAS
    serves(autoscaled, "a", ("a", 1.0))


@dataclass
class Throughput:
    """What a Prometheus would make of the pods' counters: tokens a second."""

    world: World
    scrapes: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    """When, and the tokens of each pod."""

    def per_second(self) -> int:
        now, counted = time.monotonic(), dict(self._count())
        self.scrapes = [each for each in self.scrapes if each[0] > now - WINDOW_SECONDS]
        self.scrapes.append((now, counted))
        since, before = self.scrapes[0]
        grown = sum(count - before[pod] for pod, count in counted.items() if pod in before)
        return round(grown / max(now - since, 1))

    def _count(self) -> Iterator[tuple[str, float]]:
        for pod, ip in self.world.pod_ips().items():
            try:
                text = httpx.get(f"http://{ip}:8000/metrics", timeout=10).raise_for_status().text
            except httpx.HTTPError:
                continue  # it starts, or goes
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
            yield pod, sum(sample.value for sample in samples if sample.name == GENERATED)


def an_autoscaler() -> Json:
    return mutated(
        the_autoscaler_of_the_how_to(),
        {
            "metadata.name": MODEL,
            "metadata.namespace": NAMESPACE,
            "spec.scaleTargetRef.name": MODEL,
            "spec.minReplicas": REPLICAS,
            "spec.maxReplicas": REPLICAS + 1,
            "spec.metrics.0.external.target.averageValue": str(PER_POD),
        },
    )
