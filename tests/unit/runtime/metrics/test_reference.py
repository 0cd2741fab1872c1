"""The reference of metrics, the how-to and the code say the same."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from lora_api import labels
from lora_api.runtime_api import AdapterReport, Capacity, Inventory, RevisionReport, RevisionState
from lora_api.v1alpha1.conditions import Reason
from lora_operator.clients.metrics import Metrics as OperatorMetrics
from lora_operator.config import Config
from lora_operator.domain.render.engine_flags import SERVING_PORT
from lora_runtime.engine.protocol import Tier
from lora_runtime.metrics.runtime import ADAPTERS, Metrics
from lora_runtime.observer import Outcome, Stage
from lora_runtime.store.usage import KINDS

DOCS = Path(__file__).resolve().parents[4] / "docs"
REFERENCE = DOCS / "reference" / "metrics.md"
HOW_TO = DOCS / "how-to" / "monitor.md"

Row = tuple[str, str, frozenset[str]]


def runtime() -> CollectorRegistry:
    """A registry in which each series has been used once."""
    registry = CollectorRegistry()
    metrics = Metrics("base", registry)
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
    metrics.read(lambda: inventory, dict, lambda: dict.fromkeys(KINDS, 0), 1)
    return registry


def operator() -> CollectorRegistry:
    metrics = OperatorMetrics()
    metrics.passes.labels("ok").observe(1)
    metrics.actions.labels("put").inc()
    return metrics.registry


def rows(registry: CollectorRegistry) -> Iterator[Row]:
    """Name, type and labels of what a registry shows."""
    for family in registry.collect():
        name = family.name + "_total" if family.type == "counter" else family.name
        found = {label for sample in family.samples for label in sample.labels} - {"le"}
        yield name, family.type, frozenset(found)


def documented(section: str) -> Iterator[Row]:
    text = REFERENCE.read_text().split(f"## {section}\n", 1)[1].split("\n## ", 1)[0]
    for line in text.splitlines():
        if found := re.fullmatch(r"\| `(\w+)` \| (\w+) \| ([^|]*)\| [^|]+ \|", line):
            yield found[1], found[2], frozenset(re.findall(r"`(\w+)`", found[3]))


@pytest.mark.parametrize(("section", "registry"), [("Runtime", runtime()), ("Operator", operator())])
def test_every_series_is_in_the_reference_with_its_type_and_labels_and_no_other(
    section: str, registry: CollectorRegistry
) -> None:
    assert set(documented(section)) == set(rows(registry))


@pytest.mark.parametrize("values", [Outcome, Stage, RevisionState, Tier, KINDS])
def test_every_value_of_a_label_is_in_the_reference(
    values: type[Outcome | Stage | RevisionState | Tier] | dict[str, str],
) -> None:
    words = set(re.findall(r"`(\w+)`", REFERENCE.read_text()))
    assert {str(value) for value in values} <= words


def test_the_ports_and_the_limit_are_those_of_the_reference() -> None:
    text = REFERENCE.read_text()
    assert f"serving port ({SERVING_PORT})" in text
    assert f"port {Config.model_fields['metrics_port'].default}" in text
    assert f"The first {ADAPTERS} adapters" in text


def test_names_and_units_are_as_prometheus_wants_them() -> None:
    for registry in (runtime(), operator()):
        for family in registry.collect():
            assert re.fullmatch(r"lora_(runtime|operator)_[a-z_]+", family.name)
            assert family.type != "histogram" or family.name.endswith("_seconds")
            assert family.documentation.endswith(".")


QUERIES = re.findall(r"```promql\n(.*?)```", HOW_TO.read_text(), re.DOTALL)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.split("(")[0])
def test_a_query_of_the_how_to_names_series_and_labels_that_exist(query: str) -> None:
    existing = {sample.name: set(sample.labels) for family in runtime().collect() for sample in family.samples}
    named = re.findall(r"\b(lora_runtime_\w+)(?:\{(\w+)=)?", query)
    assert named
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in re.split(r",\s*", group)}
    for name, label in named:
        assert name in existing
        assert not label or label in existing[name]
        assert grouped <= existing[name] | {"lora_operator_io_model"}
    assert query.count("(") == query.count(")")


def test_what_the_how_to_of_autoscaling_asks_for_exists() -> None:
    asked = re.findall(r"rate\((\w+)\{lora_operator_io_model=", (DOCS / "how-to" / "autoscale.md").read_text())
    assert asked
    assert set(asked) <= {sample.name for family in runtime().collect() for sample in family.samples}


def test_there_are_five_queries() -> None:
    assert len(QUERIES) == 5


def test_the_pods_are_found_by_what_the_operator_writes() -> None:
    monitor, scrape = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", HOW_TO.read_text(), re.DOTALL))
    written = labels.children("smol", "runtime")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= written.items()
    assert set(monitor["spec"]["podTargetLabels"]) <= written.keys()
    sources = {source for rule in scrape[0]["relabel_configs"] for source in rule["source_labels"]}
    for label in (labels.NAME, labels.MODEL):
        assert "__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", label) in sources
