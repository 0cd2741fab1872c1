"""The Markdown page and the JSON of the X-LoRA benchmark. Pure."""

from collections.abc import Mapping
from typing import Any

from bench.report.documents import machine_lines, rounded, table
from bench.xlora.results import Result, tokens_per_second


def page(result: Result, key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float) -> str:
    """What a reader needs to know, and to make it again."""
    run, wanted = result.run, result.run.settings
    return "\n\n".join([
        "# X-LoRA on vLLM",
        f"`make bench-xlora` on {machine_lines(machine)} Model: `{wanted.model.value}` with four experts, float32; seed "
        f"{wanted.seed}; {seconds / 60:.0f} minutes; load average {machine['load_average']} before the run.",
        f"**X-LoRA on vLLM has {result.vs_peft} times the throughput of PEFT's `generate`, and {result.vs_base} of the plain "
        f"base model's on vLLM; {key['mismatches']} answers are not those of PEFT in float32.**",
        table(
            ("round", "who", "tokens per second"),
            [(number, str(each.arm), tokens_per_second(run, each)) for number, each in enumerate(run.rounds, 1)],
        ),
        _METHOD.format(prompts=wanted.prompts, length=wanted.prompt_tokens, tokens=wanted.tokens),
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
        "vs_peft": {"low": rounded(result.vs_peft.low), "high": rounded(result.vs_peft.high)},
        "vs_base": {"low": rounded(result.vs_base.low), "high": rounded(result.vs_base.high)},
        "rounds": [
            {"arm": each.arm.name, "tokens_per_second": rounded(tokens_per_second(run, each), 2)} for each in run.rounds
        ],
        "mismatches": list(result.mismatches[:10]),
    }


_METHOD = """## How it was measured

- A round is the same {prompts} prompts of {length} tokens, all at once, continued greedily by {tokens} tokens each: by PEFT's `generate` as
  one batch, by vLLM with the mixture as {prompts} requests, or by vLLM with the plain base model. Everybody has one thread. Rounds of all
  three alternate in one run; the intervals are a bootstrap over rounds of PEFT and their neighbours.
- The classifier has a scaling for each token, module and expert; it is seeded, not trained, which changes nothing in what is computed.
- Every answer of the mixture is compared, token by token, with PEFT's.

PEFT computes the whole sequence twice for every token: the longer the sequences, the larger the ratio to it. To the plain base model it
has a limit: two runs of the decoder, of which the second needs the first, leave half of the throughput, and more only where
embeddings and output layer, which run once, take much of the time, as in small models with a large vocabulary like this one.
Nothing here was run on a GPU."""
