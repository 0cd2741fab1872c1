"""The figures of a run. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.checking.timeline import Timeline
from bench.checking.verdicts import Judged, Verdict, judge_all, tally
from bench.figures.quantiles import MEDIAN, P99, Ratio, mean, paired_ratio, pooled
from bench.load.responses import Response, first_tokens, latencies
from bench.report.documents import rounded
from bench.served.reference import References
from bench.tiers.run import Run


@dataclass(frozen=True, slots=True)
class Result:
    """A run, judged."""

    run: Run
    verdicts: Mapping[Verdict, int]
    wrong: Sequence[Judged]
    hot_throughput: Ratio
    first_token_hot: float
    """Median seconds to the first token of names that were in the engine."""
    first_token_cold: float
    """The same of names that were not."""
    first_token_cold_p99: float
    quiet_alone: float
    """Median latency in seconds of a name that is asked one request at a time, with nobody else there."""
    quiet_in_flood: float

    @property
    def failed(self) -> int:
        """Requests without a complete and correct answer."""
        return sum(count for verdict, count in self.verdicts.items() if verdict is not Verdict.GOOD)

    @property
    def mib_per_thousand(self) -> float:
        """Growth of all processes' memory by another thousand registered adapters."""
        few, many = (sum(self.run.memory_mib[moment].values()) for moment in list(self.run.memory_mib)[:2])
        more = self.run.settings.registered - self.run.settings.first
        return 1000 * (many - few) / more if more else 0.0


def result_of(run: Run, references: References, seed: int) -> Result:
    """Judges all responses and computes the figures."""
    settings = run.settings
    timelines = {name: Timeline(settings.recipe(name), 0.0) for name in settings.names}
    judged = judge_all(run.responses, timelines, references)
    cold = [[phase.hot_tokens / phase.seconds] for phase in run.phases if phase.cold]
    hot = [[phase.hot_tokens / phase.seconds] for phase in run.phases if not phase.cold]
    return Result(
        run,
        tally(judged),
        [each for each in judged if each.verdict is not Verdict.GOOD],
        paired_ratio(cold, hot, mean, seed=seed),
        MEDIAN(pooled([first_tokens(_extra(run, cold=False))])),
        MEDIAN(pooled([first_tokens(_extra(run, cold=True))])),
        P99(pooled([first_tokens(_extra(run, cold=True))])),
        MEDIAN(pooled([latencies(run.quiet_alone)])),
        MEDIAN(pooled([latencies(run.quiet_in_flood)])),
    )


def _extra(run: Run, *, cold: bool) -> list[Response]:
    return [response for phase in run.phases if phase.cold is cold for response in phase.extra]


def key_figures(result: Result) -> dict[str, Any]:
    """What a reader looks for first."""
    settings = result.run.settings
    return {
        "registered": settings.registered,
        "cached": settings.max_cached,
        "resident": settings.max_resident,
        "requests": len(result.run.responses),
        "failed": result.failed,
        "hot_throughput_ratio": rounded(result.hot_throughput.value),
        "cold_first_token_seconds": rounded(result.first_token_cold),
        "hot_first_token_seconds": rounded(result.first_token_hot),
        "mib_per_1000_registered": rounded(result.mib_per_thousand, 1),
        "flood_latency_ratio": rounded(result.quiet_in_flood / result.quiet_alone, 2),
    }
