"""The Markdown page and the JSON of the swap benchmark. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.checking.verdicts import Verdict
from bench.figures.quantiles import P99, pooled
from bench.figures.slopes import Slope
from bench.report.documents import machine_lines, rounded, table
from bench.swap.results import PartResult
from bench.swap.settings import Settings

_SHOWN = 10


def page(
    settings: Settings, parts: Sequence[PartResult], key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float
) -> str:
    """What a reader needs to know, and to make it again."""
    sections = [
        "# Swaps under load",
        f"`make bench-swap` on {machine_lines(machine)} Model: `{settings.model.value}`, float32; seed {settings.seed}; "
        f"{seconds / 60:.0f} minutes; load average {machine['load_average']} before the run.",
        f"**{key['swaps']} revision swaps under {key['requests']} requests: {key['failed']} failed, {key['torn']} torn, "
        f"{key['stale']} stale.** p99 latency with swaps is {_ratio(key['latency_p99_ratio'])} of that without, p99 gap "
        f"between tokens {_ratio(key['itl_p99_ratio'])}.",
        *(_part(part) for part in parts),
        _METHOD.format(load=f"{settings.load:.0%}"),
    ]
    return "\n\n".join(sections)


def document(
    settings: Settings, parts: Sequence[PartResult], key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "key": dict(key),
        "machine": dict(machine),
        "seconds": round(seconds, 1),
        "model": settings.model.value,
        "seed": settings.seed,
        "load": settings.load,
        "max_tokens": settings.max_tokens,
        "parts": {part.run.settings.title: _part_document(part) for part in parts},
    }


def _part(part: PartResult) -> str:
    run = part.run
    own = run.settings
    kinds = ", ".join(f"{count} {kind}" for kind, count in part.swaps_by_kind.items())
    swap_seconds = sorted(done.acknowledged - done.began for done in run.done)
    middle = f"{swap_seconds[len(swap_seconds) // 2]:.2f} s" if swap_seconds else "none"
    worst = f"{swap_seconds[-1]:.2f} s" if swap_seconds else "none"
    times = [
        (c.measure, c.figure, f"{c.control:.3f} s", f"{c.swaps:.3f} s", str(c.ratio)) for c in part.compared
    ]  # fmt: skip
    leaks = [
        (name, _both(line, 100), _both(part.drifts[name], 60), f"{_first(part, name):.0f}", f"{_last(part, name):.0f}")
        for name, line in part.leaks.items()
    ]
    wrong = "".join(f"\n- {j.verdict}: `{j.response.ask.model}`: {j.why}" for j in part.wrong[:_SHOWN])
    return "\n\n".join([
        f"## {own.title.capitalize()}: {len(own.names) + 1} adapters, {own.max_resident} resident, "
        f"{own.max_cached} cached",
        f"{len(run.done)} swaps ({kinds}), one at a time, every {own.swap_every_seconds:g} s; a swap took {middle} "
        f"(median; at most {worst}) from the operator's first document to the inventory's `Serving`. "
        f"{run.rate:.2f} requests/s arrived (Poisson), of {run.capacity:.2f} that the engine sustained.",
        table(("verdict", "responses"), [(verdict.value, part.verdicts[verdict]) for verdict in Verdict]) + wrong,
        table(("measure", "figure", "without swaps", "with swaps", "ratio (95 % interval)"), times),
        table(("process", "MiB per 100 swaps", "MiB per minute of load", "MiB at first", "MiB at last"), leaks),
        f"Open files: {100 * part.files.per_unit:.2f} more per 100 swaps. The runtime's store held at most "
        f"{max(run.store_mib, default=0.0):.1f} MiB.",
    ])  # fmt: skip


def _part_document(part: PartResult) -> dict[str, Any]:
    run = part.run
    return {
        "adapters": len(run.settings.names) + 1,
        "max_resident": run.settings.max_resident,
        "max_cached": run.settings.max_cached,
        "swaps": len(run.done),
        "swaps_by_kind": part.swaps_by_kind,
        "swap_seconds_p99": rounded(P99(pooled([[d.acknowledged - d.began for d in run.done]]))),
        "capacity_requests_per_second": rounded(run.capacity),
        "rate_requests_per_second": rounded(run.rate),
        "verdicts": {verdict.value: count for verdict, count in part.verdicts.items()},
        "wrong": [
            {"verdict": j.verdict.value, "model": j.response.ask.model, "why": j.why} for j in part.wrong[:_SHOWN]
        ],
        "times": [
            {
                "measure": c.measure,
                "figure": c.figure,
                "control_seconds": rounded(c.control, 4),
                "swaps_seconds": rounded(c.swaps, 4),
                "ratio": {name: rounded(value) for name, value in asdict(c.ratio).items()},
            }
            for c in part.compared
        ],
        "leak_mib_per_100_swaps": _slopes(part.leaks, 100),
        "drift_mib_per_minute": _slopes(part.drifts, 60),
        "open_files_per_100_swaps": rounded(100 * part.files.per_unit),
        "store_mib_at_most": rounded(max(run.store_mib, default=0.0), 1),
        "phases": [
            {
                "pair": phase.pair,
                "swaps": phase.swaps_made,
                "requests": len(phase.responses),
                "cpu_seconds": {name: rounded(value, 1) for name, value in phase.cpu_seconds.items()},
            }
            for phase in run.phases
        ],
    }


def _both(line: Slope, units: float) -> str:
    return f"{units * line.per_unit:.2f} ± {2 * units * line.error:.2f}"


def _slopes(lines: Mapping[str, Slope], units: float) -> dict[str, Any]:
    return {
        name: {"slope": rounded(units * line.per_unit), "standard_error": rounded(units * line.error)}
        for name, line in lines.items()
    }


def _first(part: PartResult, process: str) -> float:
    return _memory(part, process, 0)


def _last(part: PartResult, process: str) -> float:
    return _memory(part, process, -1)


def _memory(part: PartResult, process: str, index: int) -> float:
    if not part.run.samples:
        return float("nan")
    sample = part.run.samples[index]
    return sample.total_mib if process == "total" else sample.memory_mib.get(process, float("nan"))


def _ratio(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}"


_METHOD = """## How it was measured

- A real vLLM with the runtime in its process, no cluster. Changes go in by the admin port in the operator's two phases: prepare
  the new revision, wait until it is `Prepared`, make it serve, wait for `Serving`. A changed source is resolved first.
- Requests arrive in an open loop (Poisson) at {load} of what the engine sustained in a closed loop just before; half of them
  stream. Latency counts from when a request was due.
- Phases without and with swaps alternate in the order ABBA, and both phases of a pair get the same arrivals. Ratios compare
  all requests of all phases of a kind; the interval is a bootstrap over pairs.
- Every response is compared, token by token, with the greedy output of PEFT in float32 for each recipe that its name went
  through. Only prompts are asked to which all these recipes give different answers, with a margin of at least 0.01 in
  log-probability at every step. *failed*: no complete answer. *torn*: the output of no recipe. *stale*: the output of a recipe
  that the inventory had said was replaced before the request was sent, or that was not asked for yet.
- `reborn` is deleted and made again with other bytes under another uid. It is loaded apart: it may be refused (404 or 503) only
  while it was deleted, and its times count in neither arm.
- Memory is the resident memory of the server's processes, sampled every 2 s, without the first quarter of the run. One fit
  (± 2 standard errors) tells what grows with swaps from what grows with time, which is what vLLM takes for load alone.

What numbers from a CPU can show: that no response is wrong, what leaks, and what a swap costs beside serving on the same cores.
What they cannot: the times of a GPU, where a step takes milliseconds, cores are many, and a load copies weights over a bus."""
