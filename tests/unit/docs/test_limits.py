"""The committed pages of benchmarks and chaos are of runs that keep what is promised."""

import json
from pathlib import Path
from typing import Any

import pytest

PAGES = Path(__file__).resolve().parents[3] / "docs" / "benchmarks"

AT_MOST = [
    ("control", "p50_ms", 80),
    ("control", "p99_ms", 160),
    ("control", "split_p99_ms", 50),
    ("control", "wrong", 0),
    ("control", "never", 0),
    ("control", "unready", 0),
    ("control", "untold", 0),
    ("control", "split_slow_max_ms", 1000),
    ("scale", "cold_start_s", 60),
    ("scale", "burst_ready_s", 15),
    ("scale", "writes_per_change", 3),
    ("scale", "operator_rss_mib", 500),
    ("scale", "beside_slow_ratio", 1.1),
    ("scale", "idle_requests_per_min", 60),
    *(
        (f"chaos-{world}", figure, 0)
        for world in ("cluster", "stand-ins")
        for figure in ("false_ready", "lost", "wrong", "unsettled", "operator_deaths")
    ),
    ("chaos-cluster", "longest_lie_s", 2),
    ("chaos-stand-ins", "longest_lie_s", 2),
]
AT_LEAST = [
    ("control", "changes", 100),
    ("scale", "adapters", 5000),
    ("chaos-cluster", "steps", 300),
    ("chaos-cluster", "kills", 10),
    ("chaos-stand-ins", "steps", 5000),
]


def figure(page: str, name: str) -> float:
    found: dict[str, Any] = json.loads((PAGES / f"{page}.json").read_text(encoding="utf-8"))
    return float(found["key"][name])


@pytest.mark.parametrize(("page", "name", "limit"), AT_MOST)
def test_it_is_no_more_than_is_promised(page: str, name: str, limit: float) -> None:
    assert figure(page, name) <= limit


@pytest.mark.parametrize(("page", "name", "least"), AT_LEAST)
def test_it_was_measured_with_as_many_as_is_promised(page: str, name: str, least: float) -> None:
    assert figure(page, name) >= least


def test_chaos_on_a_real_node_took_no_longer_than_is_promised() -> None:
    found = json.loads((PAGES / "chaos-cluster.json").read_text(encoding="utf-8"))
    assert found["seconds"] <= 20 * 60


def test_growth_with_the_number_of_adapters_is_not_worse_than_linear() -> None:
    found: dict[str, float] = json.loads((PAGES / "scale.json").read_text(encoding="utf-8"))["exponents"]
    assert len(found) >= 5
    assert {name: value for name, value in found.items() if value > 1.05} == {}
