"""The Markdown page and the JSON of the scale benchmark. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report.documents import machine_lines, rounded, table
from bench.scale.results import CONFIG_MAP_BYTES, GROWTH, exponent, idle_requests_per_minute, on_one_model
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
        "## What one change asks for",
        table(("request of the operator", "a change of a weight", "a creation"), list(_requests(points[-1]))),
        _beside_a_slow_one(done, key),
        _LARGER.format(
            bytes=key["document_bytes_per_adapter"],
            most=int(CONFIG_MAP_BYTES / key["document_bytes_per_adapter"]),
            rss=_per_thousand([(p.adapters, p.rss_mib) for p in points]),
            cold=_per_thousand([(p.adapters, p.cold_start_seconds) for p in points]),
        ),
        _METHOD,
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
    change = point.change
    assert change is not None
    return (
        point.adapters,
        round(point.cold_start_seconds, 1),
        round(point.burst_seconds, 1),
        round(idle_requests_per_minute(point), 1),
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
    idle, writes = [idle_requests_per_minute(p) for p in points], [p.change.writes for p in points if p.change]
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
    idles = [(point, idle) for point in ends if (idle := point.idle) is not None]
    return [
        ("cold start to steady, s", "60", *(round(p.cold_start_seconds, 1) for p in ends)),
        (f"{ends[0].burst} created at once to Ready, s", "15", *(round(p.burst_seconds, 1) for p in ends)),
        ("API requests a minute, idle", "≈ 0", *(round(idle_requests_per_minute(p), 1) for p, _ in idles)),
        ("long polls a minute and pod, idle", "", *(round(_polls(p, i), 1) for p, i in idles)),
        ("API writes of one change, without those by the clock", "3", *(round(c.writes, 2) for c in changes)),
        ("API writes of one creation", "", *(round(c.writes, 2) for c in creations)),
        ("requests to pods of one change", "O(pods)", *(round(c.told.requests / c.changes, 1) for c in changes)),
        ("memory of the operator at most, MiB", "500", *(round(p.rss_mib) for p in ends)),
    ]


def _polls(point: Point, idle: Idle) -> float:
    return 60 * idle.told.polls / idle.seconds / point.shape.all_pods


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


def _point(point: Point) -> dict[str, Any]:
    return {
        "shape": point.shape.name,
        "adapters": point.adapters,
        "cold_start_s": rounded(point.cold_start_seconds),
        "burst": point.burst,
        "burst_s": rounded(point.burst_seconds),
        "burst_requests": dict(point.burst_asked.counts) if point.burst_asked is not None else None,
        "idle": None if point.idle is None else {
            "seconds": point.idle.seconds,
            "requests": dict(point.idle.asked.counts),
            "polls": point.idle.told.polls,
        },
        "change": _cost(point.change),
        "creation": _cost(point.create),
        "rss_mib": rounded(point.rss_mib, 1),
        "document_bytes": point.document_bytes,
    }  # fmt: skip


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


_LARGER = """## What breaks first with 50,000 adapters

The document of one model breaks first: a ConfigMap holds 1 MiB, and an adapter takes {bytes} bytes of it (packed; digests,
commits and UIDs are random and do not compress), so that one model holds about {most} adapters. Spread over models, nothing
has such an edge: another thousand adapters take {rss} MiB of the operator's memory and {cold} s of its start.

How the design would go on:

1. The document in shards, `<model>-desired-<n>`, by a hash of the served name: pods mount all of them, a change writes one. The
   sequence and etag stay per shard; patches and inventories know names, not shards. That alone carries one model to 50,000.
2. A pass still walks over all adapters of its model, if only to see that they are as they were: some 10 µs each, half a second
   with 50,000. The names that events and pods have rung for would then come with the ring, and a pass would conclude about
   those and what blends them; the walk over all is left to the sweep.
3. Beyond that, one process: models are independent of each other, so that operators could share them out by namespace or by a
   Lease per share of the keys."""

_METHOD = """## How it was measured

- A real API server with etcd and the controller manager, no node; the real operator as a process with the chart's role; pods are
  Pod objects whose status the benchmark writes, each with a process that runs the real service, planner and admin server over
  mutual TLS, and an engine that only remembers. Every source exists, and its files take no time.
- *Cold start*: one adapter of each model is edited while no operator runs; the time from the start of the process until the last
  of these edits is Ready everywhere.
- *Burst*: from the first of the creations, 24 at a time, to the last Ready, as a watch sees it.
- *API requests*: from the audit log, all of the operator's account, watches left out. *Idle* is watched for longer than the
  sweep's five minutes at the largest numbers. *One change* is the mean over changes made one after the other; of its writes, the
  renewals of the Lease and the checks of the certificates, which come by the clock, are left out.
- *Memory*: the process's peak from its start through everything else here, the burst included.

What this cannot show: loads into a GPU, and networks."""
