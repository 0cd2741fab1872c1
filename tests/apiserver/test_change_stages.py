"""Where the time of a change went, as an operator in production tells it: metrics, and a trace for a collector."""

from pathlib import Path

import pytest

from bench.control.traces import collecting
from lora_operator.domain.changes import Stage
from support.custom_resources import ADAPTER, MODEL
from support.operated import Operator, Team, eventually

pytestmark = pytest.mark.apiserver


def counts(operator: Operator, series: str) -> list[float]:
    """The figures of all series whose name and labels begin so."""
    return [float(line.rpartition(" ")[2]) for line in operator.metrics() if line.startswith(series)]


def test_every_stage_of_a_change_is_in_the_metrics_and_in_one_trace(
    team: Team, operator: Operator, tmp_path: Path
) -> None:
    with collecting("127.0.0.1") as collector:
        operator.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with operator.running():
            team.create(MODEL)
            team.create(ADAPTER)
            [runtime] = team.runtimes(tmp_path, None)
            with runtime:
                team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
                # A watcher may read the status before the operator has heard that it is stored; an edit would take its place.
                told = "lora_operator_change_seconds_count"
                eventually("the creation is told", lambda: counts(operator, told) == [1.0])
                team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
                changed = eventually("the trace of the edit", lambda: [c for c in collector.traces() if c[1] == 2])
                trace = collector.traces()[changed[0]]
                assert trace.stages.keys() == set(Stage)
                assert trace.name == "pirate"
                assert trace.revision == team.status("loraadapters", "pirate")["revision"]
                assert counts(operator, told) == [2.0]
                for stage in Stage:
                    assert counts(operator, f'lora_operator_change_stage_seconds_count{{stage="{stage}"}}') == [2.0]
