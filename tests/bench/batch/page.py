"""The Markdown page and the JSON of the batch benchmark. Pure."""

from collections.abc import Mapping
from typing import Any

from bench.batch.results import Result
from bench.report.documents import machine_lines, rounded, table
from bench.served.recipes import ADAPTERS


def page(result: Result, key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float) -> str:
    """What a reader needs to know, and to make it again."""
    run = result.run
    return "\n\n".join([
        "# Mixed batch: one call for several adapters",
        f"`make bench-batch` on {machine_lines(machine)} Model: `{run.settings.model.value}`, float32; seed "
        f"{run.settings.seed}; {seconds / 60:.0f} minutes; load average {machine['load_average']} before the run.",
        f"**{len(run.asked)} prompts over {len(ADAPTERS)} adapters in one call have {result.ratio} times the throughput of "
        f"sending them one after another; {len(result.mismatches)} of {key['answers']} answers are not those of PEFT in "
        "float32.**",
        table(
            ("round", "how", "seconds"),
            [(i, "in one call" if r.together else "one after another", r.seconds) for i, r in enumerate(run.rounds, 1)],
        ),
        _METHOD,
    ])  # fmt: skip


def document(result: Result, key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The same for programs."""
    return {
        "key": dict(key),
        "machine": dict(machine),
        "seconds": round(seconds, 1),
        "model": result.run.settings.model.value,
        "seed": result.run.settings.seed,
        "throughput_ratio": {"low": rounded(result.ratio.low), "high": rounded(result.ratio.high)},
        "rounds": [{"together": r.together, "seconds": round(r.seconds, 3)} for r in result.run.rounds],
        "mismatches": list(result.mismatches[:10]),
    }


_METHOD = """## How it was measured

- A real vLLM with the runtime in its process, no cluster; the adapters are in the engine before the first round.
- A round is the same prompts with the same number of tokens each, either in one call of `/v1/completions` with
  `prompt_to_adapter_mapping`, or as one call each, by one client, one after another. Rounds alternate in the order ABBA; the
  interval is a bootstrap over pairs.
- Every answer of every round is compared, token by token, with PEFT in float32. Prompts are those to which each adapter's
  answer is clear, and like no other's.

What numbers from a CPU can show: that one batch is cheaper than many steps, and that nobody gets another's adapter. What they
cannot: by how much on a GPU, where a step with sixteen sequences costs hardly more than one with one."""
