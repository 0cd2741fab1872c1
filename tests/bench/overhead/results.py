"""From what was recorded to what is reported. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.figures.quantiles import MEDIAN, P99, Figure, Ratio, mean, paired_ratio, pooled
from bench.load.responses import Response, first_tokens, gaps
from bench.overhead.run import Block, SectionRun, recipe_of
from bench.report.documents import rounded
from bench.served.reference import References

_THROUGHPUT = "tokens per second"


def _throughput(block: Block) -> list[float]:
    return [block.tokens_per_second]


def _first_tokens(block: Block) -> list[float]:
    return first_tokens(block.steady)


def _gaps(block: Block) -> list[float]:
    return gaps(block.steady)


_MEASURES: tuple[tuple[str, str, Callable[[Block], list[float]], Figure], ...] = (
    (_THROUGHPUT, "mean", _throughput, mean),
    ("first token", "p50", _first_tokens, MEDIAN),
    ("first token", "p99", _first_tokens, P99),
    ("inter-token gap", "p50", _gaps, MEDIAN),
    ("inter-token gap", "p99", _gaps, P99),
)


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of both servers."""

    measure: str
    figure: str
    bare: float
    ours: float
    ratio: Ratio
    """Ours over bare."""


@dataclass(frozen=True, slots=True)
class SectionResult:
    """What one comparison shows."""

    run: SectionRun
    compared: tuple[Compared, ...]
    requests: int
    wrong: Mapping[str, int]
    """By server, the responses that are not what PEFT answers."""

    def ratio(self, measure: str, figure: str) -> Ratio:
        """The ratio of one figure."""
        return next(c.ratio for c in self.compared if (c.measure, c.figure) == (measure, figure))


def result_of(run: SectionRun, references: References, seed: int) -> SectionResult:
    """Compares the servers, and checks every response."""
    ours, bare = run.arm(ours=True), run.arm(ours=False)
    compared = []
    for measure, name, values, figure in _MEASURES:
        treated, control = [values(block) for block in ours], [values(block) for block in bare]
        ratio = paired_ratio(treated, control, figure, seed=seed)
        compared.append(Compared(measure, name, figure(pooled(control)), figure(pooled(treated)), ratio))
    arms = {"runtime": ours, "bare": bare}
    return SectionResult(
        run=run,
        compared=tuple(compared),
        requests=sum(1 for blocks in arms.values() for _ in _all(blocks)),
        wrong={name: sum(not is_right(r, references) for r in _all(blocks)) for name, blocks in arms.items()},
    )


def is_right(response: Response, references: References) -> bool:
    """Whether it is, token by token, what PEFT answers."""
    expected = references[recipe_of(response.ask.model)][response.ask.prompt].tokens
    return response.status == 200 and response.tokens == expected[: response.ask.tokens]


def key_figures(results: Sequence[SectionResult]) -> dict[str, Any]:
    """The last line of the output: of the first comparison, and the same of the others under their titles."""
    return _ratios(results[0]) | {
        "wrong": sum(sum(result.wrong.values()) for result in results),
        **{result.run.section.title: _ratios(result) for result in results[1:]},
    }


def _ratios(result: SectionResult) -> dict[str, float | None]:
    return {
        "throughput_ratio": rounded(result.ratio(_THROUGHPUT, "mean").value),
        "ttft_p99_ratio": rounded(result.ratio("first token", "p99").value),
        "itl_p99_ratio": rounded(result.ratio("inter-token gap", "p99").value),
        "ttft_p50_ratio": rounded(result.ratio("first token", "p50").value),
        "itl_p50_ratio": rounded(result.ratio("inter-token gap", "p50").value),
    }


def _all(blocks: Sequence[Block]) -> Iterable[Response]:
    return (response for block in blocks for response in (*block.saturated, *block.steady))
