"""The alerts fire when a person should come, and not otherwise: `promtool test rules` plays the stories beside this file."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from local_cluster import binaries
from local_cluster.layout import cache_root
from local_cluster.progress import Silence
from support import series

HERE = Path(__file__).resolve().parent
FILES = HERE.parents[1] / "helm" / "lora-operator" / "files" / "monitoring"
ALERTS = FILES / "alerts.yaml"
STORIES = sorted(HERE.glob("*.yaml"))
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments: str | Path, stdin: str = "") -> str:
    """What it says; it must have nothing to complain about."""
    program = binaries.ensure(["promtool"], cache_root(), Silence())["promtool"]
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("registry", [series.of_the_operator(), series.of_the_runtime()], ids=["operator", "runtime"])
def test_series_are_named_and_explained_as_prometheus_wants_them(registry: CollectorRegistry) -> None:
    assert promtool("check", "metrics", stdin=generate_latest(registry).decode()) == ""


def test_the_rules_are_rules() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS)


def test_what_prometheus_scrapes_without_its_operator_is_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump({"scrape_configs": yaml.safe_load((FILES / "scrape.yaml").read_text())}))
    assert "valid prometheus config file" in promtool("check", "config", file)


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_each_alert_fires_when_its_story_says_so_and_not_before(story: Path) -> None:
    promtool("test", "rules", story)


def told_at(test: dict[str, Any]) -> list[set[str]]:
    """Names of the alerts that are said to fire, for each moment that a story looks at."""
    return [
        {
            found
            for sample in look.get("exp_samples", ())
            for found in re.findall(r'alertname="(\w+)"', sample["labels"])
        }
        for look in test["promql_expr_test"]
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_story_in_which_it_is_silent_first_and_then_fires(rule: dict[str, Any]) -> None:
    tests = [test for story in STORIES for test in yaml.safe_load(story.read_text())["tests"]]

    moments = [told for told in map(told_at, tests) if any(rule["alert"] in names for names in told)]

    assert any(rule["alert"] not in told[0] for told in moments)


def test_every_query_of_the_dashboard_can_be_parsed(tmp_path: Path) -> None:
    panels = json.loads((FILES / "dashboard.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    filled = [query.replace("$__rate_interval", "5m").replace("$__range", "1h") for query in queries]
    rules = [{"record": f"query:{index}", "expr": query} for index, query in enumerate(filled)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert f"{len(queries)} rules found" in promtool("check", "rules", file)
