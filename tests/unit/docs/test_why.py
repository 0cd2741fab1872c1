"""What the documentation says is held by a test, is held by a test that exists; and what takes less here takes less here."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
WHY = (ROOT / "docs" / "why.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", WHY)
FOLDERS = re.findall(r"`(tests/[\w/]+)`", WHY)

LESS = [
    ("control", "create_p50_ms", 155),
    ("control", "delete_p50_ms", 62),
    ("two-hundred", "served_s", 12.3),
    ("two-hundred", "ready_s", 12.5),
    ("two-hundred", "unloaded_s", 12.0),
    ("two-hundred", "objects_per_adapter", 3),
    ("two-hundred", "idle_requests_per_min", 1200),
    ("two-hundred", "idle_pod_requests_per_min", 2400),
    ("two-hundred", "create_served_max_ms", 4380),
    ("two-hundred", "restart_served_s", 4.87),
    ("two-hundred", "beside_slow_s", 19.1),
]
"""Benchmark, key figure, and what the better of the others came to."""


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED)))
def test_a_test_that_is_named_exists(file: str, test: str) -> None:
    assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("folder", sorted(set(FOLDERS)))
def test_a_benchmark_that_is_named_exists(folder: str) -> None:
    assert (ROOT / folder / "__main__.py").exists()


def test_every_row_names_one() -> None:
    lines = WHY.splitlines()
    rows = [line for line, next_line in pairwise([*lines, ""]) if line.startswith("| ") and next_line[:4] != "|---"]
    assert all("`tests/" in row for row in rows)
    assert len(rows) > 20


@pytest.mark.parametrize(("benchmark", "figure", "elsewhere"), LESS)
def test_what_was_measured_here_is_less(benchmark: str, figure: str, elsewhere: float) -> None:
    found: dict[str, Any] = json.loads((ROOT / "docs" / "benchmarks" / f"{benchmark}.json").read_text(encoding="utf-8"))

    assert found["key"][figure] < elsewhere


def test_a_creation_is_ready_sooner_here() -> None:
    rows = json.loads((ROOT / "docs" / "benchmarks" / "control.json").read_text(encoding="utf-8"))["rows"]
    [ready] = [row["ready_p50"] for row in rows if row["kind"] == "create"]
    assert ready < 0.117
