"""The figures. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.figures.quantiles import MEDIAN, Ratio, paired_ratio
from bench.report.documents import rounded
from bench.scale.run import Point, Run
from bench.scale.settings import ONE_MODEL

CONFIG_MAP_BYTES = 1024 * 1024
"""What the API server lets a ConfigMap hold."""
CHART_LIMIT_MIB = 512
"""`resources.limits.memory` of the chart's operator."""
GROWTH = 500
"""From this number of adapters on, growth is judged."""


def beside_slow(done: Run, seed: int) -> Ratio:
    """Median time of a change beside an adapter that loads for long, over that without one."""
    return paired_ratio(done.slow, done.alone, MEDIAN, seed=seed)


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """The slope of a figure over N where both are logarithms: 1 is linear. NaN of fewer than two points."""
    positive = [(x, y) for x, y in points if x > 0 and y > 0]
    if len(positive) < 2:
        return float("nan")
    x, y = np.log(np.asarray(positive, dtype=np.float64)).T
    return float(np.polyfit(x, y, 1)[0])


def on_one_model(done: Run) -> list[Point]:
    """The points that differ by the number of adapters alone."""
    return [point for point in done.points if point.shape is ONE_MODEL]


def key_figures(done: Run, seed: int) -> dict[str, Any]:
    """What a reader looks for first: the worse of the two shapes at the largest number."""
    largest = max(point.adapters for point in done.points)
    ends = [point for point in done.points if point.adapters == largest]
    changes = [cost for point in ends if (cost := point.change) is not None]
    creations = [cost for point in ends if (cost := point.create) is not None]
    idles = [idle for point in ends if (idle := point.long_idle) is not None]
    slow = beside_slow(done, seed)
    return {
        "adapters": largest,
        "pods": max(point.shape.all_pods for point in ends),
        "cold_start_s": rounded(max(point.cold_start_seconds for point in ends), 1),
        "burst_ready_s": rounded(max(point.burst_seconds for point in ends), 1),
        "idle_requests_per_min": rounded(max(idle.requests_per_minute for idle in idles), 1),
        "writes_per_change": rounded(max(cost.writes for cost in changes), 2),
        "writes_per_creation": rounded(max(cost.writes for cost in creations), 2),
        "pod_requests_per_change": rounded(max(cost.told.requests / cost.changes for cost in changes), 1),
        "pod_bytes_per_change": rounded(
            max((cost.told.received_bytes + cost.told.sent_bytes) / cost.changes for cost in changes), 0
        ),
        "change_s": rounded(max(cost.median_seconds for cost in changes)),
        "operator_rss_mib": rounded(max(point.rss_mib for point in ends), 0),
        "beside_slow_ratio": rounded(slow.value),
        "beside_slow_low": rounded(slow.low),
        "beside_slow_high": rounded(slow.high),
        "document_bytes_per_adapter": rounded(max(p.document_bytes / p.adapters for p in on_one_model(done)), 1),
    }
