"""What the benchmark of scale makes of what it saw."""

from collections import Counter
from dataclasses import replace

import pytest
import yaml

from bench.scale.audit import Requests
from bench.scale.page import document, page
from bench.scale.pods import Traffic
from bench.scale.results import CHART_LIMIT_MIB, exponent, key_figures
from bench.scale.run import Cost, Idle, Point, Run
from bench.scale.settings import ONE_MODEL, TEN_MODELS, Shape, settings
from support.chart import CHART

MACHINE = {
    "cores": 2, "cpu": "a", "memory_gib": 1, "kernel": "6", "python": "3", "vllm": "0", "torch": "2", "load_average": 0
}  # fmt: skip
NOTHING = Traffic(0, 0, 0, 0)
CHANGE = Cost(
    (0.2, 0.4), 2, Requests(Counter({"patch configmaps": 2, "create events": 2, "patch secrets": 1})), NOTHING
)


def point(shape: Shape, adapters: int, *, cold: float = 1.0, lists: int = 0) -> Point:
    asked = Requests(Counter({"patch leases": 6, "list loramodels": lists}))
    return Point(
        shape, adapters, cold_start_seconds=cold, idle=Idle(10.0, Requests(Counter({"patch leases": 2})), NOTHING),
        long_idle=Idle(30.0, asked, NOTHING), change=CHANGE, create=CHANGE, burst=500, burst_seconds=8.0,
        burst_asked=asked, rss_mib=100.0, document_bytes=90 * adapters,
    )  # fmt: skip


def run() -> Run:
    points = [
        replace(point(ONE_MODEL, 500), long_idle=None),
        point(ONE_MODEL, 5000, cold=10.0),
        point(TEN_MODELS, 5000, cold=7.0, lists=9),
    ]
    return Run(settings(adapters=5000, quick=False), points, slow=[[0.21, 0.2]] * 2, alone=[[0.2, 0.2]] * 2)


def test_the_key_figures_are_those_of_the_worse_shape_at_the_largest_number() -> None:
    key = key_figures(run(), seed=0)

    assert (key["adapters"], key["pods"], key["cold_start_s"]) == (5000, 10, 10.0)
    assert key["idle_requests_per_min"] == 30.0, "of the long look alone"
    assert key["writes_per_change"] == 2.0


def test_a_figure_that_grows_as_the_number_does_is_linear() -> None:
    assert exponent([(500, 1.0), (1000, 2.0), (5000, 10.0)]) == pytest.approx(1.0)


def test_the_page_says_what_is_asked_while_nothing_happens_and_what_it_sums_up_to() -> None:
    done = run()
    key = key_figures(done, seed=0)

    text = page(done, key, MACHINE, 60.0)

    assert "| request of the operator | 5000 on one model of ten pods | 5000 on ten models of one pod each |" in text
    assert "| `list loramodels` | 0 | 18 |" in text
    assert "| all | 12 | 30 |" in text
    assert [each["long_idle"] is None for each in document(done, key, MACHINE, 60.0)["points"]] == [True, False, False]


def test_the_limit_that_the_page_counts_with_is_the_charts() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert values["resources"]["limits"]["memory"] == f"{CHART_LIMIT_MIB}Mi"
