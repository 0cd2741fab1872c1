"""What is wrong with a response, if anything. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bench.checking.timeline import Timeline
from bench.load.responses import Response
from bench.served.reference import References

UNAVAILABLE = (404, 503)
"""What a name that does not exist, or is not ready, may answer."""


class Verdict(StrEnum):
    """What a client got."""

    GOOD = "good"
    ABSENT = "absent"
    """Refused, while the name was deliberately deleted or not ready yet."""
    FAILED = "failed"
    """No complete answer, or one in the name of another model."""
    TORN = "torn"
    """The answer is that of no recipe that was ever asked for under this name."""
    STALE = "stale"
    """The answer of a recipe that was replaced before the request was sent, or asked for after it was answered."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A response, and what is thought of it."""

    response: Response
    verdict: Verdict
    why: str = ""


def judge(response: Response, timeline: Timeline, references: References) -> Judged:
    """Holds a response against the pure outputs of the recipes that its name may answer with."""
    allowed = timeline.allowed(response.started, response.answered_by)
    if response.status in UNAVAILABLE:
        if None in allowed:
            return Judged(response, Verdict.ABSENT)
        return Judged(response, Verdict.FAILED, f"{response.status} while it was served: {response.error}")
    if response.status != 200:
        return Judged(response, Verdict.FAILED, response.error or f"status {response.status}")
    if response.model != response.ask.model:
        return Judged(response, Verdict.FAILED, f"answered in the name of {response.model!r}")
    length = response.ask.tokens
    if len(response.tokens) != length:
        return Judged(response, Verdict.FAILED, f"{len(response.tokens)} tokens instead of {length}")
    equal = {
        recipe
        for recipe in timeline.ever()
        if recipe is not None and references[recipe][response.ask.prompt].tokens[:length] == response.tokens
    }
    if not equal:
        return Judged(response, Verdict.TORN, f"{response.text!r} is the output of none of {_names(timeline.ever())}")
    if not equal & allowed:
        return Judged(response, Verdict.STALE, f"answered as {_names(equal)} when {_names(allowed)} could be served")
    return Judged(response, Verdict.GOOD)


def judge_all(responses: Iterable[Response], timelines: Mapping[str, Timeline], references: References) -> list[Judged]:
    """Judges each by the timeline of the name that it asked for."""
    return [judge(response, timelines[response.ask.model], references) for response in responses]


def tally(judged: Iterable[Judged]) -> dict[Verdict, int]:
    """How many of each."""
    counts = Counter(each.verdict for each in judged)
    return {verdict: counts[verdict] for verdict in Verdict}


def _names(recipes: Iterable[object]) -> str:
    return ", ".join(sorted("absent" if recipe is None else str(recipe) for recipe in recipes)) or "nothing"
