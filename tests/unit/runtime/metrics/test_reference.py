"""The reference of metrics, the how-to and the code say the same."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from lora_api import labels
from lora_api.runtime_api import RevisionState
from lora_operator.clients.metrics import ActionOutcome, PassOutcome, PassStage
from lora_operator.config import Config
from lora_operator.domain.render.engine_flags import SERVING_PORT
from lora_runtime.engine.protocol import Tier
from lora_runtime.metrics.runtime import ADAPTERS
from lora_runtime.observer import Composed, Outcome, Stage
from lora_runtime.store.usage import KINDS
from support import series

DOCS = Path(__file__).resolve().parents[4] / "docs"
REFERENCE = DOCS / "reference" / "metrics.md"
SCRAPE = DOCS.parent / "helm" / "lora-operator" / "files" / "monitoring" / "scrape.yaml"

Row = tuple[str, str, frozenset[str]]


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


@pytest.mark.parametrize(
    ("section", "registry"), [("Runtime", series.of_the_runtime()), ("Operator", series.of_the_operator())]
)
def test_every_series_is_in_the_reference_with_its_type_and_labels_and_no_other(
    section: str, registry: CollectorRegistry
) -> None:
    assert set(documented(section)) == set(rows(registry))


@pytest.mark.parametrize(
    "values",
    [Outcome, Stage, Composed, RevisionState, Tier, KINDS, PassOutcome, PassStage, ActionOutcome],
    ids=lambda v: str(v),
)
def test_every_value_of_a_label_is_in_the_reference(values: Iterable[str]) -> None:
    words = set(re.findall(r"`(\w+)`", REFERENCE.read_text()))
    assert {str(value) for value in values} <= words


def test_the_ports_and_the_limit_are_those_of_the_reference() -> None:
    text = REFERENCE.read_text()
    assert f"serving port ({SERVING_PORT})" in text
    assert f"port {Config.model_fields['metrics_port'].default}" in text
    assert f"The first {ADAPTERS} adapters" in text


def test_names_and_units_are_as_prometheus_wants_them() -> None:
    for registry in (series.of_the_runtime(), series.of_the_operator()):
        for family in registry.collect():
            assert re.fullmatch(r"(lora_(runtime|operator)|process)_[a-z_]+", family.name)
            assert family.type != "histogram" or family.name.endswith("_seconds")
            assert family.documentation.endswith(".")


def test_the_pods_are_found_by_what_the_operator_writes() -> None:
    runtimes, operator = yaml.safe_load(SCRAPE.read_text())
    sources = {source for rule in runtimes["relabel_configs"] for source in rule["source_labels"]}
    for label in (labels.NAME, labels.MODEL):
        assert "__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", label) in sources
    assert labels.selector("smol")[labels.NAME] in {rule.get("regex") for rule in runtimes["relabel_configs"]}
    assert operator["honor_labels"], "or Prometheus renames the models' namespaces"
