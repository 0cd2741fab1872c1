"""Everything that operator and runtime show to Prometheus, by asking them: registries in which each series was used once."""

from prometheus_client import CollectorRegistry

from lora_api.runtime_api import AdapterReport, Capacity, Inventory, RevisionReport, RevisionState
from lora_api.v1alpha1.conditions import Reason
from lora_operator.clients.metrics import Metrics as OperatorMetrics
from lora_operator.domain.observed import ModelKey, Snapshot
from lora_runtime.metrics.runtime import Metrics as RuntimeMetrics
from lora_runtime.observer import Outcome
from lora_runtime.store.budget import Fill
from lora_runtime.store.usage import KINDS
from support.builders import NAMESPACE, a_model, an_adapter


def of_the_runtime() -> CollectorRegistry:
    """The runtime's."""
    registry = CollectorRegistry()
    metrics = RuntimeMetrics("base", registry)
    metrics.traffic.ended("a", Outcome.OK)
    metrics.failed(Reason.LOAD_FAILED)
    metrics.lifecycle.asked("/v1/inventory", 200)
    report = RevisionReport(revision="11111111", state=RevisionState.SERVING)
    inventory = Inventory(
        boot_id="b",
        etag="e",
        capacity=Capacity(slots=1, slot_bytes=1, max_cached=1),
        adapters=(AdapterReport(name="a", revisions=(report,)),),
    )
    metrics.read(lambda: inventory, dict, lambda: dict.fromkeys(KINDS, 0), 1, lambda: Fill(1, 2))
    return registry


def of_the_operator() -> CollectorRegistry:
    """The operator's."""
    metrics = OperatorMetrics()
    metrics.actions.labels("PushDesired", "ok").inc()
    metrics.asked("GET", "Pod", 200)
    metrics.standings.saw(Snapshot(key=ModelKey(NAMESPACE, "smol"), model=a_model(), adapters=(an_adapter(),)))
    return metrics.registry


def labels_by_sample() -> dict[str, frozenset[str]]:
    """Label names by the name of each sample: those of a histogram are three."""
    families = [family for registry in (of_the_runtime(), of_the_operator()) for family in registry.collect()]
    return {sample.name: frozenset(sample.labels) for family in families for sample in family.samples}
