"""How models and adapters stand, as series: read when Prometheus asks, from what was last seen of each model."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from lora_operator.domain.observed import ModelKey
from lora_operator.domain.tally import Group, Standing, Tally

_OBJECT = ("namespace", "model")


class Standings(Collector):
    """What was last seen of each model. Written by the loop, read by the thread that answers Prometheus."""

    def __init__(self) -> None:
        self._counts: dict[ModelKey, Callable[[], Tally]] = {}

    def saw(self, key: ModelKey, count: Callable[[], Tally]) -> None:
        """Takes note of how to count what was seen of a model: thousands of adapters are counted only when asked for."""
        self._counts[key] = count

    def forget(self, key: ModelKey) -> None:
        """Nothing is left of a model."""
        self._counts.pop(key, None)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """See Collector.describe."""
        yield from _families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See Collector.collect."""
        families = models, models_since, adapters, adapters_since, unreachable = _families()
        for key, count in self._counts.copy().items():
            tally = count()
            where = [key.namespace, key.name]
            _add(models, models_since, where, tally.models)
            _add(adapters, adapters_since, where, tally.adapters)
            unreachable.add_metric(where, tally.unreachable_pods)
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
