"""When requests arrive, and what each asks for. Pure: the randomness comes in as an argument."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to be sent."""

    at: float
    """Seconds after the schedule's begin."""
    model: str
    prompt: int
    """Index of the prompt among those of the run."""
    stream: bool
    tokens: int
    """How many it asks for."""


@dataclass(frozen=True, slots=True)
class Mix:
    """What is asked for, and how often."""

    prompts: Mapping[str, Sequence[int]]
    """By model, the indices of the prompts that it may be asked."""
    weights: Mapping[str, float]
    """By model, its share of the requests; the sum does not matter."""
    lengths: Sequence[int]
    """Numbers of tokens that requests ask for, all alike."""
    streams: float = 0.5
    """Share of the requests that stream."""


def zipf(models: Sequence[str], exponent: float = 1.0) -> dict[str, float]:
    """Weights by rank: the first is the most popular."""
    return {model: 1.0 / rank**exponent for rank, model in enumerate(models, start=1)}


def asks(mix: Mix, random: Random) -> Iterator[Ask]:
    """Endless requests of the mix, all at time 0: for clients that send the next one when one has ended."""
    models = sorted(mix.weights)
    shares = list(accumulate(mix.weights[model] for model in models))
    while True:
        model = random.choices(models, cum_weights=shares)[0]
        prompt, stream = random.choice(mix.prompts[model]), random.random() < mix.streams
        yield Ask(0.0, model, prompt, stream, random.choice(mix.lengths))


def arrivals(mix: Mix, rate: float, seconds: float, random: Random, *, burstiness: float = 1.0) -> list[Ask]:
    """Open-loop arrivals: as many per second as `rate` on average, whatever the server does.

    The times between them are gamma-distributed with the shape `burstiness`, which means what it does in vLLM's serving
    benchmark: 1 is a Poisson process, more is more even.
    """
    schedule: list[Ask] = []
    scale = 1.0 / (rate * burstiness)
    at = random.gammavariate(burstiness, scale)
    for ask in asks(mix, random):
        if at >= seconds:
            break
        schedule.append(replace(ask, at=at))
        at += random.gammavariate(burstiness, scale)
    return schedule
