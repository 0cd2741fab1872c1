"""Dashboard, alerts and the how-to ask only for series and labels that operator, runtime and vLLM really have."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana_dashboard import render
from support import promql, series

ROOT = Path(__file__).resolve().parents[3]
ALERTS = ROOT / "helm" / "lora-operator" / "files" / "monitoring" / "alerts.yaml"
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
HOW_TO = ROOT / "docs" / "how-to" / "monitor.md"
AUTOSCALE = ROOT / "docs" / "how-to" / "autoscale.md"

RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
PANELS = [panel for panel in json.loads(render.rendered())["panels"] if "targets" in panel]
QUERIES = {
    **{f"alert {rule['alert']}": rule["expr"] for rule in RULES},
    **{f"{panel['title']} {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]},
    **{
        f"how-to {n}": query
        for n, query in enumerate(re.findall(r"```promql\n(.*?)```", HOW_TO.read_text(), re.DOTALL))
    },
}
Rule = dict[str, Any]

QUERIES |= {f"autoscale {n}": query for n, query in enumerate(re.findall(r"sum\(.*\}.*?\)\)?", AUTOSCALE.read_text()))}
BY_SCRAPE = frozenset({"namespace", "pod", "model"})
"""Labels that the monitors add to the series of a pod; the operator's own `namespace` and `model` are kept."""


def of_vllm(name: str) -> bool:
    """Whether vLLM registers such a series; read from its source, which takes seconds to import."""
    found = importlib.util.find_spec("vllm")
    assert found is not None
    assert found.origin is not None
    return f'"{name}"' in (Path(found.origin).parent / "v1" / "metrics" / "loggers.py").read_text()


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_a_query_names_series_and_labels_that_exist(query: str) -> None:
    existing = series.labels_by_sample()
    selected = list(promql.selected(query))
    assert selected
    for name, labels in selected:
        if name.startswith("vllm:"):
            assert of_vllm(name)
            assert labels | promql.grouped(query) <= BY_SCRAPE
        else:
            assert name in existing
            assert labels | promql.grouped(query) <= existing[name] | BY_SCRAPE, name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_what_an_alert_says_is_filled_in_from_labels_that_it_has(rule: Rule) -> None:
    said = " ".join(rule["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", said))
    alert = rule["expr"]
    kept = promql.grouped(alert) or {
        label for name, _ in promql.selected(alert) for label in series.labels_by_sample()[name]
    }
    assert named <= kept


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_leads_to_a_page_that_says_what_to_do(rule: Rule) -> None:
    page, heading = rule["annotations"]["runbook_url"].split("/blob/main/", 1)[1].split("#")
    assert ROOT / page == TROUBLESHOOTING
    assert heading == rule["alert"].lower()
    assert f"\n### {rule['alert']}\n" in TROUBLESHOOTING.read_text()


def test_the_committed_dashboard_is_what_its_description_says() -> None:
    assert render.TARGET.read_text() == render.rendered(), "run `make gen` and commit the result"


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(render.rendered())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert taken.isdisjoint(cells), panel["title"]
        taken |= cells


def test_a_query_with_a_series_or_a_label_that_does_not_exist_would_be_found() -> None:
    query = 'sum by (a, le) (rate(one{b="x{y}", c!~"z"}[5m])) / on (d) max(vllm:two) > 1e3 unless three'
    assert dict(promql.selected(query)) == {"one": {"b", "c"}, "vllm:two": frozenset(), "three": frozenset()}
    assert promql.grouped(query) == {"a", "le", "d"}
