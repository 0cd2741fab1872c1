"""From what was recorded to what is reported. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.checking.verdicts import Judged, Verdict, judge_all, tally
from bench.figures.quantiles import MEDIAN, P99, Ratio, paired_ratio, pooled
from bench.figures.slopes import Slope, settled, slope
from bench.load.responses import Response, first_tokens, gaps, latencies
from bench.report.documents import rounded
from bench.served.reference import References
from bench.swap.part import PartRun, Phase
from bench.swap.plan import Kind

_MEASURES: Mapping[str, Callable[[Sequence[Response]], list[float]]] = {
    "latency": latencies,
    "first token": first_tokens,
    "inter-token gap": gaps,
}
_FIGURES = {"p50": MEDIAN, "p99": P99}


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure with and without swaps."""

    measure: str
    figure: str
    control: float
    swaps: float
    ratio: Ratio


@dataclass(frozen=True, slots=True)
class PartResult:
    """What one engine's run shows."""

    run: PartRun
    judged: tuple[Judged, ...]
    verdicts: Mapping[Verdict, int]
    compared: tuple[Compared, ...]
    leaks: Mapping[str, Slope]
    """MiB per swap beyond what grows with time, by process and in total."""
    drifts: Mapping[str, Slope]
    """MiB per second beyond what grows with swaps: what the engine takes for load alone."""
    files: Slope
    """Open files per swap, likewise."""

    @property
    def wrong(self) -> list[Judged]:
        """The responses that must not be."""
        return [j for j in self.judged if j.verdict not in (Verdict.GOOD, Verdict.ABSENT)]

    @property
    def swaps_by_kind(self) -> dict[str, int]:
        """How many changes of each kind were made."""
        return {kind.value: sum(done.swap.kind is kind for done in self.run.done) for kind in Kind}

    def ratio(self, measure: str, figure: str) -> Ratio:
        """The ratio of one figure."""
        return next(c.ratio for c in self.compared if (c.measure, c.figure) == (measure, figure))


def result_of(run: PartRun, references: References, seed: int) -> PartResult:
    """Judges every response and compares the phases."""
    responses = [*run.others, *(response for phase in run.phases for response in phase.responses)]
    judged = judge_all(responses, run.timelines, references)
    samples = run.samples[settled(len(run.samples)) :]
    swaps, seconds = [float(sample.swaps) for sample in samples], [sample.at for sample in samples]
    names = sorted({name for sample in samples for name in sample.memory_mib})
    memory = {"total": [sample.total_mib for sample in samples]}
    memory |= {name: [sample.memory_mib.get(name, 0.0) for sample in samples] for name in names}
    return PartResult(
        run=run,
        judged=tuple(judged),
        verdicts=tally(judged),
        compared=tuple(_compared(run, seed)),
        leaks={name: slope(swaps, mib, beside=seconds) for name, mib in memory.items()},
        drifts={name: slope(seconds, mib, beside=swaps) for name, mib in memory.items()},
        files=slope(swaps, [float(sample.total_files) for sample in samples], beside=seconds),
    )


def _compared(run: PartRun, seed: int) -> list[Compared]:
    swaps, control = _measured(run, swaps=True), _measured(run, swaps=False)
    found = []
    for measure, values in _MEASURES.items():
        with_swaps, without = [values(block) for block in swaps], [values(block) for block in control]
        for name, figure in _FIGURES.items():
            ratio = paired_ratio(with_swaps, without, figure, seed=seed)
            found.append(Compared(measure, name, figure(pooled(without)), figure(pooled(with_swaps)), ratio))
    return found


def _measured(run: PartRun, *, swaps: bool) -> list[list[Response]]:
    """By pair, the responses that count: the name that is deleted and made again is left out of both arms."""
    phases: list[Phase] = sorted((p for p in run.phases if p.swaps is swaps), key=lambda phase: phase.pair)
    return [[r for r in phase.responses if r.ask.model != run.settings.reborn.name] for phase in phases]


def key_figures(parts: Sequence[PartResult]) -> dict[str, Any]:
    """The last line of the output: counts over all engines, times and leaks of the first, where all fits."""
    first = parts[0]
    counts = {verdict: sum(part.verdicts[verdict] for part in parts) for verdict in Verdict}
    return {
        "swaps": sum(len(part.run.done) for part in parts),
        "requests": sum(counts.values()),
        "failed": counts[Verdict.FAILED],
        "torn": counts[Verdict.TORN],
        "stale": counts[Verdict.STALE],
        "latency_p99_ratio": rounded(first.ratio("latency", "p99").value),
        "itl_p99_ratio": rounded(first.ratio("inter-token gap", "p99").value),
        "leak_mib_per_100_swaps": rounded(100 * first.leaks["total"].per_unit, 2),
        "drift_mib_per_minute": rounded(60 * first.drifts["total"].per_unit, 2),
        "refused_while_deleted": counts[Verdict.ABSENT],
        "first_token_p99_ratio": rounded(first.ratio("first token", "p99").value),
        "swap_p50_seconds": rounded(float(MEDIAN(pooled([[d.acknowledged - d.began for d in first.run.done]])))),
    }
