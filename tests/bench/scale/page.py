"""The Markdown page and the JSON of the scale benchmark. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report.documents import machine_lines, rounded, table
from bench.scale.method import LARGER, METHOD
from bench.scale.results import CHART_LIMIT_MIB, CONFIG_MAP_BYTES, GROWTH, exponent, on_one_model
from bench.scale.run import Cost, Idle, Point, Run


def page(done: Run, key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float) -> str:
    """What a reader needs to know, and to make it again."""
    points = on_one_model(done)
    return "\n\n".join([
        "# Scale: thousands of adapters, one operator",
        f"`make bench-scale` on {machine_lines(machine)} {seconds / 60:.0f} minutes; load average "
        f"{machine['load_average']} before the run. The API server, etcd, the controller manager, ten runtimes and the "
        "operator share these cores.",
        f"**{key['adapters']} LoRAAdapters: cold start {key['cold_start_s']} s, {points[-1].burst} more created at once are "
        f"Ready after {key['burst_ready_s']} s, {key['idle_requests_per_min']} API requests a minute while nothing happens, "
        f"{key['writes_per_change']} API writes for one change, {key['operator_rss_mib']} MiB.** Each figure is the worse of "
        "ten models with one pod each and one model with ten pods.",
        table(("", "limit", *(_words(point) for point in _ends(done))), list(_limits(done))),
        "## Growth with the number of adapters",
        f"One model, ten pods. The last row is the exponent of N in each column (1: linear); over all points, constant costs "
        f"pull it down, so that it is taken from {GROWTH} on.",
        table(("adapters", *_COLUMNS), [*map(_row, points), _exponents(points)]),
        *_charts(points),
        "## What is asked while nothing happens",
        f"So many of each in a minute, over {done.settings.long_idle_seconds:.0f} s. The Lease is renewed every five seconds, "
        "and the models are glanced at every thirty. Every five minutes, and for a while after a watch has begun anew, the "
        "operator looks at all there is, adapters in pages of 500; certificates are checked every five minutes.",
        table(("request of the operator", *map(_words, _long_idle(done))), list(_idle_requests(_long_idle(done)))),
        "## What one change asks for",
        table(("request of the operator", "a change of a weight", "a creation"), list(_requests(points[-1]))),
        _beside_a_slow_one(done, key),
        LARGER.format(
            bytes=key["document_bytes_per_adapter"],
            most=int(CONFIG_MAP_BYTES / key["document_bytes_per_adapter"]),
            rss=_per_thousand([(p.adapters, p.rss_mib) for p in points]),
            limit=CHART_LIMIT_MIB,
            fit=_within([(p.adapters, p.rss_mib) for p in points], CHART_LIMIT_MIB),
            cold=_per_thousand([(p.adapters, p.cold_start_seconds) for p in points]),
        ),
        METHOD,
    ])  # fmt: skip


def document(done: Run, key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The same for programs."""
    return {
        "key": dict(key),
        "machine": dict(machine),
        "seconds": round(seconds, 1),
        "points": [_point(point) for point in done.points],
        "exponents": dict(zip(_COLUMNS, _exponents(on_one_model(done))[1:], strict=True)),
        "beside_slow_seconds": [[rounded(s) for s in phase] for phase in done.slow],
        "alone_seconds": [[rounded(s) for s in phase] for phase in done.alone],
    }


_COLUMNS = (
    "cold start, s",
    "burst, s",
    "idle requests a minute",
    "one change, s",
    "API writes a change",
    "pod requests a change",
    "bytes a change and pod",
    "memory, MiB",
    "document, KiB",
)


def _row(point: Point) -> tuple[object, ...]:
    change, idle = point.change, point.idle
    assert change is not None
    assert idle is not None
    return (
        point.adapters,
        round(point.cold_start_seconds, 1),
        round(point.burst_seconds, 1),
        round(idle.requests_per_minute, 1),
        round(change.median_seconds, 3),
        round(change.writes, 2),
        round(change.told.requests / change.changes, 1),
        round(_bytes_per_pod(point, change)),
        round(point.rss_mib),
        round(point.document_bytes / 1024, 1),
    )


def _bytes_per_pod(point: Point, cost: Cost) -> float:
    return (cost.told.received_bytes + cost.told.sent_bytes) / cost.changes / point.shape.pods


def _exponents(points: Sequence[Point]) -> tuple[object, ...]:
    rows = [_row(point) for point in points if point.adapters >= GROWTH or point is points[-1]]
    columns = list(zip(*rows, strict=True))
    numbers = [float(str(n)) for n in columns[0]]
    slopes = (exponent([(n, float(str(y))) for n, y in zip(numbers, column, strict=True)]) for column in columns[1:])
    return ("exponent", *(rounded(slope, 2) for slope in slopes))


def _charts(points: Sequence[Point]) -> list[str]:
    """Plots that every Markdown viewer of a forge draws."""
    if len(points) < 2:
        return []
    numbers = [point.adapters for point in points]
    cold, burst = [p.cold_start_seconds for p in points], [p.burst_seconds for p in points]
    idle = [p.idle.requests_per_minute for p in points if p.idle]
    writes = [p.change.writes for p in points if p.change]
    return [
        _chart("cold start (first line) and a burst (second)", "seconds", numbers, cold, burst),
        _chart("the operator's memory", "MiB", numbers, [p.rss_mib for p in points]),
        _chart(
            "API requests a minute, idle (first line), and API writes of one change (second)", "", numbers, idle, writes
        ),
    ]


def _chart(title: str, unit: str, numbers: Sequence[int], *lines: Sequence[float]) -> str:
    return "\n".join([
        "```mermaid",
        "xychart-beta",
        f'    title "Over the number of adapters: {title}"',
        f"    x-axis [{', '.join(map(str, numbers))}]",
        f'    y-axis "{unit}"',
        *(f"    line [{', '.join(f'{figure:.1f}' for figure in line)}]" for line in lines),
        "```",
    ])  # fmt: skip


def _ends(done: Run) -> list[Point]:
    largest = max(point.adapters for point in done.points)
    return [point for point in done.points if point.adapters == largest]


def _words(point: Point) -> str:
    return f"{point.adapters} on {point.shape.name}"


def _limits(done: Run) -> list[tuple[object, ...]]:
    ends = _ends(done)
    changes = [cost for point in ends if (cost := point.change) is not None]
    creations = [cost for point in ends if (cost := point.create) is not None]
    idles = [(point, idle) for point in ends if (idle := point.long_idle) is not None]
    return [
        ("cold start to steady, s", "60", *(round(p.cold_start_seconds, 1) for p in ends)),
        (f"{ends[0].burst} created at once to Ready, s", "15", *(round(p.burst_seconds, 1) for p in ends)),
        ("API requests a minute, idle", "≈ 0", *(round(idle.requests_per_minute, 1) for _, idle in idles)),
        ("long polls a minute and pod, idle", "", *(round(_polls(p, i), 1) for p, i in idles)),
        ("API writes of one change, without those by the clock", "3", *(round(c.writes, 2) for c in changes)),
        ("API writes of one creation", "", *(round(c.writes, 2) for c in creations)),
        ("requests to pods of one change", "O(pods)", *(round(c.told.requests / c.changes, 1) for c in changes)),
        ("memory of the operator at most, MiB", "500", *(round(p.rss_mib) for p in ends)),
    ]


def _polls(point: Point, idle: Idle) -> float:
    return 60 * idle.told.polls / idle.seconds / point.shape.all_pods


def _long_idle(done: Run) -> list[Point]:
    return [point for point in done.points if point.long_idle is not None]


def _idle_requests(points: Sequence[Point]) -> list[tuple[object, ...]]:
    idles = [idle for point in points if (idle := point.long_idle) is not None]
    asked = sorted(set().union(*(idle.asked.counts for idle in idles)))
    each = [(f"`{what}`", *(60 * idle.asked.counts[what] / idle.seconds for idle in idles)) for what in asked]
    return [*each, ("all", *(idle.requests_per_minute for idle in idles))]


def _requests(point: Point) -> list[tuple[object, ...]]:
    change, create = point.change, point.create
    assert change is not None
    assert create is not None
    asked = sorted(change.asked.counts.keys() | create.asked.counts.keys())
    return [
        (f"`{what}`", change.asked.counts[what] / change.changes, create.asked.counts[what] / create.changes)
        for what in asked
    ]


def _beside_a_slow_one(done: Run, key: Mapping[str, Any]) -> str:
    return (
        "## An adapter that is slow to load\n\n"
        f"While one adapter's files take {done.settings.slow_seconds:.0f} s to make in every pod, changes of others take "
        f"{key['beside_slow_ratio']} ({key['beside_slow_low']} to {key['beside_slow_high']}) of their time without it: "
        f"medians of {sum(map(len, done.slow))} and {sum(map(len, done.alone))} changes in phases of one run, in the order "
        "ABBA, with a bootstrap over pairs. The limit is 1.1."
    )


def _per_thousand(points: Sequence[tuple[float, float]]) -> str:
    (few, low), (many, high) = points[0], points[-1]
    return f"{1000 * (high - low) / (many - few):.3g}" if many > few else "?"


def _within(points: Sequence[tuple[float, float]], limit: float) -> str:
    """How many stay within the limit, if the growth goes on as between the first and the last."""
    (few, low), (many, high) = points[0], points[-1]
    return f"{many + (limit - high) * (many - few) / (high - low):.0f}" if high > low else "?"


def _point(point: Point) -> dict[str, Any]:
    return {
        "shape": point.shape.name,
        "adapters": point.adapters,
        "cold_start_s": rounded(point.cold_start_seconds),
        "burst": point.burst,
        "burst_s": rounded(point.burst_seconds),
        "burst_requests": dict(point.burst_asked.counts) if point.burst_asked is not None else None,
        "idle": _idle(point.idle),
        "long_idle": _idle(point.long_idle),
        "change": _cost(point.change),
        "creation": _cost(point.create),
        "rss_mib": rounded(point.rss_mib, 1),
        "document_bytes": point.document_bytes,
    }  # fmt: skip


def _idle(idle: Idle | None) -> dict[str, Any] | None:
    if idle is None:
        return None
    return {"seconds": idle.seconds, "requests": dict(idle.asked.counts), "polls": idle.told.polls}


def _cost(cost: Cost | None) -> dict[str, Any] | None:
    if cost is None:
        return None
    return {
        "seconds": [rounded(s) for s in cost.seconds],
        "requests": dict(cost.asked.counts),
        "pod_requests": cost.told.requests,
        "polls": cost.told.polls,
        "bytes_to_pods": cost.told.received_bytes,
        "bytes_from_pods": cost.told.sent_bytes,
    }
