"""What came back for one request, as a client sees it. Times are monotonic seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.load.arrivals import Ask


@dataclass(frozen=True, slots=True)
class Response:
    """One request from its arrival to its end."""

    ask: Ask
    due: float
    """When it should have been sent: latency counts from here, so that a late sender hides nothing."""
    started: float
    """When it was sent."""
    ended: float
    status: int | None
    """None when the connection failed."""
    tokens: tuple[int, ...] = ()
    model: str = ""
    """What the response says that answered."""
    text: str = ""
    error: str = ""
    token_times: tuple[float, ...] = ()
    """Of each chunk of a stream that brought tokens; empty for others."""
    token_counts: tuple[int, ...] = ()
    """How many each of these chunks brought: a server that falls behind puts several into one."""

    @property
    def latency(self) -> float:
        """Seconds from arrival to the last byte."""
        return self.ended - self.due

    @property
    def first_token(self) -> float | None:
        """Seconds from arrival to the first token; None unless streamed."""
        return self.token_times[0] - self.due if self.token_times else None

    @property
    def answered_by(self) -> float:
        """By this time the server had chosen the adapter."""
        return self.token_times[0] if self.token_times else self.ended

    @property
    def gaps(self) -> list[float]:
        """Seconds between chunks of a stream."""
        return [later - earlier for earlier, later in zip(self.token_times, self.token_times[1:], strict=False)]


def latencies(responses: Sequence[Response]) -> list[float]:
    """Of those that were answered."""
    return [r.latency for r in responses if r.status == 200]


def first_tokens(responses: Sequence[Response]) -> list[float]:
    """Of those that streamed."""
    return [first for r in responses if r.status == 200 and (first := r.first_token) is not None]


def gaps(responses: Sequence[Response]) -> list[float]:
    """Of those that streamed, all together."""
    return [gap for r in responses if r.status == 200 for gap in r.gaps]


def ended_between(responses: Sequence[Response], begin: float, end: float) -> int:
    """How many were answered in that time: those cut off by its end are balanced by those under way at its begin."""
    return sum(1 for r in responses if r.status == 200 and begin <= r.ended < end)


def tokens_between(responses: Sequence[Response], begin: float, end: float) -> int:
    """How many tokens of streams came in that time: a finer measure of throughput than whole responses."""
    return sum(
        count
        for r in responses
        if r.status == 200
        for at, count in zip(r.token_times, r.token_counts, strict=True)
        if begin <= at < end
    )
