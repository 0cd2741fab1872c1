"""The Markdown page and the JSON of the overhead benchmark. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.overhead.results import SectionResult
from bench.overhead.settings import Settings
from bench.report.documents import machine_lines, rounded, table


def page(
    settings: Settings,
    results: Sequence[SectionResult],
    key: Mapping[str, Any],
    machine: Mapping[str, Any],
    seconds: float,
) -> str:
    """What a reader needs to know, and to make it again."""
    return "\n\n".join([
        "# Overhead over bare vLLM",
        f"`make bench-overhead` on {machine_lines(machine)} Model: `{settings.model.value}`, float32; seed "
        f"{settings.seed}; {seconds / 60:.0f} minutes; load average {machine['load_average']} before the run.",
        f"**The runtime does {key['throughput_ratio']} of bare vLLM's tokens per second; p99 of the first token is "
        f"{key['ttft_p99_ratio']} and of the gap between tokens {key['itl_p99_ratio']} of bare vLLM's.**",
        *(_section(result) for result in results),
        _METHOD.format(
            load=f"{settings.load:.0%}", burstiness=settings.burstiness, pairs=settings.pairs, clients=settings.clients,
            fewest=min(settings.lengths), most=max(settings.lengths),
        ),
    ])  # fmt: skip


def document(
    settings: Settings,
    results: Sequence[SectionResult],
    key: Mapping[str, Any],
    machine: Mapping[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "key": dict(key),
        "machine": dict(machine),
        "seconds": round(seconds, 1),
        "model": settings.model.value,
        "seed": settings.seed,
        "load": settings.load,
        "burstiness": settings.burstiness,
        "pairs": settings.pairs,
        "sections": {result.run.section.title: _section_document(result) for result in results},
    }


def _section(result: SectionResult) -> str:
    run = result.run
    rows = [
        (c.measure, c.figure, _value(c.measure, c.bare), _value(c.measure, c.ours), str(c.ratio))
        for c in result.compared
    ]
    return "\n\n".join([
        f"## {run.section.title.capitalize()}",
        f"{run.section.why} {result.requests} requests in all, {run.rate:.2f} per second in the steady part. Responses "
        f"that differ from PEFT's: {result.wrong['runtime']} of the runtime, {result.wrong['bare']} of bare vLLM.",
        table(("measure", "figure", "bare vLLM", "runtime", "ratio (95 % interval)"), rows),
    ])  # fmt: skip


def _section_document(result: SectionResult) -> dict[str, Any]:
    return {
        "requests": result.requests,
        "wrong": dict(result.wrong),
        "rate_requests_per_second": rounded(result.run.rate),
        "compared": [
            {
                "measure": c.measure,
                "figure": c.figure,
                "bare": rounded(c.bare, 4),
                "runtime": rounded(c.ours, 4),
                "ratio": {name: rounded(value) for name, value in asdict(c.ratio).items()},
            }
            for c in result.compared
        ],
        "tokens_per_second": {
            "runtime": [rounded(block.tokens_per_second, 1) for block in result.run.arm(ours=True)],
            "bare": [rounded(block.tokens_per_second, 1) for block in result.run.arm(ours=False)],
        },
    }


def _value(measure: str, value: float) -> str:
    return f"{value:.1f}" if measure == "tokens per second" else f"{value * 1000:.1f} ms"


_METHOD = """## How it was measured

- Both servers have the same flags, environment, model and adapters, and are alive at once; one of them is loaded at a time. Bare
  vLLM has the adapters by `--lora-modules`; it runs without our plugin, and so without our middleware and hooks.
- {pairs} pairs of blocks in the order ABBA; both blocks of a pair get the same requests. A block is a closed loop with {clients}
  clients, which gives the throughput once the batch is full, and then arrivals (burstiness {burstiness:g}) at {load} of what bare vLLM
  did in the first block, which give the times. All requests stream, and ask for {fewest} to {most} tokens.
- Ratios are the runtime's over bare vLLM's, over all blocks; the interval is a bootstrap over pairs.
- Every response is compared, token by token, with the greedy output of PEFT in float32.

What numbers from a CPU can show: what our code adds to each request and each token in the server's process, on cores that the
engine wants too. What they cannot: a GPU's times. There a step is shorter, so that the same microseconds are a larger share of
it; but the server has cores of its own."""
