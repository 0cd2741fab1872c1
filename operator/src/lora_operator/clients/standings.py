"""How models and adapters stand, as series: counted when Prometheus asks, from what was last seen of each model."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from lora_operator.domain import tally
from lora_operator.domain.observed import ModelKey, Snapshot
from lora_operator.domain.tally import Group, Standing

_OBJECT = ("namespace", "model")


class Standings(Collector):
    """The last snapshot of each model. Written by the loop, read by the thread that answers Prometheus.

    Thousands of adapters are not counted in a pass, which clients wait for.
    """

    def __init__(self) -> None:
        self._seen: dict[ModelKey, Snapshot] = {}

    def saw(self, snapshot: Snapshot) -> None:
        """Takes note of what a look saw; of a model that is gone with all of its adapters nothing is kept."""
        if snapshot.model is None and not snapshot.adapters:
            self._seen.pop(snapshot.key, None)
        else:
            self._seen[snapshot.key] = snapshot

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """See Collector.describe."""
        yield from _families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See Collector.collect."""
        families = models, models_since, adapters, adapters_since, unreachable = _families()
        for key, snapshot in self._seen.copy().items():
            where, counted = [key.namespace, key.name], tally.of(snapshot)
            _add(models, models_since, where, counted.models)
            _add(adapters, adapters_since, where, counted.adapters)
            unreachable.add_metric(where, counted.unreachable_pods)
        yield from families


def _families() -> tuple[GaugeMetricFamily, ...]:
    standing, waiting = [*_OBJECT, "ready", "available", "reason"], [*_OBJECT, "available", "reason"]
    return (
        GaugeMetricFamily(
            "lora_operator_model_info", "Always 1: each LoRAModel, and what its conditions say.", labels=standing
        ),
        GaugeMetricFamily(
            "lora_operator_model_not_ready_since_timestamp_seconds",
            "When a LoRAModel that is not Ready ceased to be so, in seconds since 1970.",
            labels=waiting,
        ),
        GaugeMetricFamily(
            "lora_operator_adapters", "LoRAAdapters by their model and by what their conditions say.", labels=standing
        ),
        GaugeMetricFamily(
            "lora_operator_adapters_not_ready_since_timestamp_seconds",
            "When the first of the LoRAAdapters that are not Ready ceased to be so, in seconds since 1970.",
            labels=waiting,
        ),
        GaugeMetricFamily(
            "lora_operator_unreachable_pods",
            "Pods that Kubernetes calls ready and whose admin port does not answer the operator.",
            labels=_OBJECT,
        ),
    )


def _add(
    count: GaugeMetricFamily, since: GaugeMetricFamily, where: list[str], groups: Mapping[Standing, Group]
) -> None:
    for standing, group in groups.items():
        count.add_metric([*where, standing.ready, standing.available, standing.reason], group.count)
        if not standing.is_ready:
            since.add_metric([*where, standing.available, standing.reason], group.since.timestamp())
