"""What the benchmark of two hundred adapters makes of what it saw."""

from collections import Counter

from bench.scale.audit import Requests
from bench.scale.pods import Traffic
from bench.scale.run import Idle
from bench.two_hundred.page import document, page
from bench.two_hundred.results import Bulk, Creation, Found, Restart, key_figures
from bench.two_hundred.settings import settings

MACHINE = {
    "cores": 2, "cpu": "a", "memory_gib": 1, "kernel": "6", "python": "3", "vllm": "0", "torch": "2", "load_average": 0
}  # fmt: skip


def found(*, early: int = 0) -> Found:
    return Found(
        settings(quick=False),
        bulks=[Bulk(50, 0.5, 1.0, 1.1, 0, 0.4), Bulk(200, 2.0, 4.0, 4.5, 0, 2.0)],
        idle=Idle(30.0, Requests(Counter({"patch leases": 6})), Traffic(0, 3, 0, 0)),
        creations=[Creation(0.04, 0.05), Creation(0.06, 0.09)],
        restarts=[
            Restart(0.1, 0.2, 0.01, 0.02, 0.02, 0.3, early=0),
            Restart(0.1, 0.2, 0.02, 0.04, 0.04, 0.3, early=early),
        ],
        beside_slow=[0.08, 0.07],
    )


def test_figures_are_of_the_largest_number_and_the_worst_of_a_few() -> None:
    key = key_figures(found())

    assert (key["adapters"], key["served_s"], key["unloaded_s"]) == (200, 4.0, 2.0)
    assert (key["create_served_p50_ms"], key["create_served_max_ms"]) == (50, 60)
    assert (key["restart_served_s"], key["beside_slow_s"]) == (0.04, 0.08)


def test_what_is_asked_while_nothing_happens_is_of_a_minute_and_a_pod() -> None:
    key = key_figures(found())

    assert (key["idle_requests_per_min"], key["idle_pod_requests_per_min"]) == (12, 3)


def test_a_pod_that_might_be_ready_too_early_is_not_forgotten() -> None:
    assert key_figures(found(early=1))["early"] == 1


def test_the_page_has_a_column_for_each_number_and_each_pod() -> None:
    seen = found()
    told = page(seen, key_figures(seen), MACHINE, 100.0)

    assert "| … Ready | 1.1 | 4.5 |" in told
    assert "| … every adapter is said to be Ready | 0.3 | 0.3 |" in told


def test_the_document_has_every_restart() -> None:
    seen = found()

    assert [each["served"] for each in document(seen, key_figures(seen), MACHINE, 100.0)["restarts"]] == [0.02, 0.04]
