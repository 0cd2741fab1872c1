"""The figures of a run. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.batch.run import Round, Run
from bench.figures.quantiles import MEDIAN, Ratio, mean, paired_ratio, pooled
from bench.report.documents import rounded
from bench.served.recipes import recipe
from bench.served.reference import References


@dataclass(frozen=True, slots=True)
class Result:
    """A run, judged."""

    run: Run
    ratio: Ratio
    """Of throughputs: in one call over one after another."""
    together_seconds: float
    """Median of the rounds."""
    alone_seconds: float
    mismatches: tuple[str, ...]
    """Answers that are not those of PEFT in float32, in words."""


def result_of(run: Run, references: References) -> Result:
    """Judges every answer and computes the figures."""
    together = [[1 / each.seconds] for each in run.rounds if each.together]
    alone = [[1 / each.seconds] for each in run.rounds if not each.together]
    return Result(
        run,
        paired_ratio(together, alone, mean, seed=run.settings.seed),
        MEDIAN(pooled([_seconds(run.rounds, together=True)])),
        MEDIAN(pooled([_seconds(run.rounds, together=False)])),
        tuple(text for each in run.rounds for text in _mismatches(run, each, references)),
    )


def key_figures(result: Result) -> dict[str, Any]:
    """What a reader looks for first."""
    return {
        "throughput_ratio": rounded(result.ratio.value, 2),
        "mismatches": len(result.mismatches),
        "answers": sum(len(each.answers) for each in result.run.rounds),
        "together_seconds": rounded(result.together_seconds),
        "one_after_another_seconds": rounded(result.alone_seconds),
    }


def _seconds(rounds: Sequence[Round], *, together: bool) -> list[float]:
    return [each.seconds for each in rounds if each.together is together]


def _mismatches(run: Run, found: Round, references: References) -> list[str]:
    if len(found.answers) != len(run.asked):
        return [f"{len(found.answers)} answers to {len(run.asked)} prompts"]
    how = "in one call" if found.together else "alone"
    return [
        f"{one.adapter} on prompt {one.prompt} {how}: {tokens}"
        for one, tokens in zip(run.asked, found.answers, strict=True)
        if tokens != references[recipe(**{one.adapter: 1.0})][one.prompt].tokens
    ]
