"""How long it takes from an edit until every pod answers with it."""

from dataclasses import dataclass, replace

from lora_cli.domain.objects import Adapter
from lora_cli.domain.waiting import Progress, standing


@dataclass(frozen=True, slots=True)
class Moment:
    """An edit that was made here."""

    generation: int
    """Of the object, after it."""
    began: float
    """When it was sent, on a clock that only grows."""
    took_seconds: float | None = None
    """Until every pod answered with it; None as long as that is not so."""
    over: bool = False
    """Whether somebody has edited it again since: nobody will ever know how long this one took."""


def after(moment: Moment, adapter: Adapter, now: float) -> Moment:
    """What is known of an edit once the object was seen as it is."""
    if moment.took_seconds is not None or moment.over:
        return moment
    if adapter.meta.generation > moment.generation:
        return replace(moment, over=True)
    answered = adapter.meta.generation == moment.generation and standing(adapter).progress is Progress.DONE
    return replace(moment, took_seconds=now - moment.began) if answered else moment
