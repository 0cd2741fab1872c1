"""The Markdown page and the JSON of the tiers benchmark. Pure."""

from collections.abc import Mapping
from typing import Any

from bench.report.documents import machine_lines, rounded, table
from bench.tiers.results import Result


def page(result: Result, key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float) -> str:
    """What a reader needs to know, and to make it again."""
    run, settings = result.run, result.run.settings
    memory = [
        (moment, *(f"{mib:.0f}" for mib in by_process.values()), f"{sum(by_process.values()):.0f}")
        for moment, by_process in run.memory_mib.items()
    ]
    processes = list(next(iter(run.memory_mib.values())))
    share = len(run.quiet_in_flood) / max(len(run.quiet_alone), 1)
    return "\n\n".join([
        "# Tiers: thousands of adapters on one runtime",
        f"`make bench-tiers` on {machine_lines(machine)} Model: `{settings.model.value}`, float32; seed {settings.seed}; "
        f"{seconds / 60:.0f} minutes; load average {machine['load_average']} before the run.",
        f"**{settings.registered} registered adapters, at most {settings.max_cached} in the engine and "
        f"{settings.max_resident} in a batch: {key['requests']} requests, {key['failed']} without a complete and correct "
        f"answer.** Hot names keep {result.hot_throughput} of their throughput while cold ones stream in.",
        "## Cold names beside hot ones",
        f"{settings.hot} hot names are asked by {settings.hot_clients} clients without a pause; beside them arrive "
        f"requests at {settings.extra_share:.0%} of the {run.capacity:.2f} requests/s that the engine sustains: for the hot "
        "names in one phase of a pair, for names that are not in the engine in the other, each of which costs a load.",
        table(
            ("phase", "others", "hot tokens/s"),
            [(i, "cold" if p.cold else "hot", p.hot_tokens / p.seconds) for i, p in enumerate(run.phases, start=1)],
        ),
        table(
            ("first token of the others", "seconds"),
            [
                ("hot name, median", f"{result.first_token_hot:.3f}"),
                ("cold name, median", f"{result.first_token_cold:.3f}"),
                ("cold name, p99", f"{result.first_token_cold_p99:.3f}"),
            ],
        ),
        "## Memory (MiB, resident, by process)",
        table(("moment", *processes, "all"), memory),
        f"Another thousand registered adapters cost {result.mib_per_thousand:.0f} MiB. Registering all took "
        f"{run.register_seconds:.0f} s: each has files and a digest of its own, which are copied, hashed, checked and "
        "written as a version.",
        "## A flood on one name",
        f"{settings.flood_clients} clients ask one name without a pause while one client asks another name: its median "
        f"latency is {result.quiet_in_flood:.2f} s, against {result.quiet_alone:.2f} s with nobody else there "
        f"({share:.0%} as many answers in the same time). First come, first served would have it wait for all "
        f"{settings.flood_clients} each time.",
        _METHOD,
    ])  # fmt: skip


def document(result: Result, key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The same for programs."""
    run = result.run
    return {
        "key": dict(key),
        "machine": dict(machine),
        "seconds": round(seconds, 1),
        "model": run.settings.model.value,
        "seed": run.settings.seed,
        "register_seconds": round(run.register_seconds, 1),
        "capacity_requests_per_second": rounded(run.capacity),
        "hot_throughput": {"low": rounded(result.hot_throughput.low), "high": rounded(result.hot_throughput.high)},
        "phases": [
            {"cold": phase.cold, "hot_tokens_per_second": round(phase.hot_tokens / phase.seconds, 1)}
            for phase in run.phases
        ],
        "verdicts": {verdict.value: count for verdict, count in result.verdicts.items()},
        "wrong": [{"model": j.response.ask.model, "why": j.why} for j in result.wrong[:10]],
        "memory_mib": {
            moment: {process: round(mib, 1) for process, mib in by_process.items()}
            for moment, by_process in run.memory_mib.items()
        },
        "zipf_requests": len(run.zipf),
        "zipf_names": len({response.ask.model for response in run.zipf}),
    }


_METHOD = """## How it was measured

- A real vLLM with the runtime in its process, no cluster. Every adapter has a folder, a configuration and a digest of its own;
  the tensors are those of four trained adapters at four weights, so that every response can be compared, token by token, with
  PEFT in float32.
- The Zipf phase asks all names, by rank, in an open loop (Poisson).
- A ratio compares phases of one run in the order ABBA with equal arrivals; its interval is a bootstrap over pairs.

What numbers from a CPU can show: that no request fails, what follows the number of registered adapters, and who waits for whom.
What they cannot: how long a load takes on a GPU, where weights cross a bus and a step is a hundred times shorter."""
