"""The figures of a run. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.figures.quantiles import Ratio, mean, paired_ratio
from bench.report.documents import rounded
from bench.xlora.run import Arm, Round, Run


@dataclass(frozen=True, slots=True)
class Result:
    """A run, judged."""

    run: Run
    vs_peft: Ratio
    """Of tokens per second: the mixture on vLLM over PEFT."""
    vs_base: Ratio
    """The same over the plain base model on vLLM."""
    mismatches: tuple[str, ...]
    """Answers of the mixture that are not PEFT's, in words."""


def result_of(run: Run) -> Result:
    """Judges every answer and computes the figures; what ran beside each other is one pair."""
    seed = run.settings.seed
    speeds = {arm: _speeds(run, arm) for arm in Arm}
    peft = next(each for each in run.rounds if each.arm is Arm.PEFT)
    return Result(
        run,
        paired_ratio(speeds[Arm.MIXTURE], speeds[Arm.PEFT], mean, seed=seed),
        paired_ratio(speeds[Arm.MIXTURE], speeds[Arm.BASE], mean, seed=seed),
        tuple(text for number, each in enumerate(run.rounds) for text in _mismatches(number, each, peft)),
    )


def key_figures(result: Result) -> dict[str, Any]:
    """What a reader looks for first."""
    return {
        "vs_peft": rounded(result.vs_peft.value, 1),
        "vs_base": rounded(result.vs_base.value, 3),
        "mismatches": len(result.mismatches),
    }


def tokens_per_second(run: Run, each: Round) -> float:
    """Of one round."""
    return run.settings.prompts * run.settings.tokens / each.seconds


def _speeds(run: Run, arm: Arm) -> list[Sequence[float]]:
    """For each round of PEFT, those of its neighbours."""
    found = [tokens_per_second(run, each) for each in run.rounds if each.arm is arm]
    times = len(found) // run.settings.rounds
    return [found[begin : begin + times] for begin in range(0, len(found), times)]


def _mismatches(number: int, found: Round, peft: Round) -> list[str]:
    if found.arm is Arm.BASE:
        return []
    pairs = zip(found.answers, peft.answers, strict=True)
    return [
        f"round {number}, prompt {prompt}, {found.arm}: {ours} instead of {theirs}"
        for prompt, (ours, theirs) in enumerate(pairs)
        if ours != theirs
    ]
