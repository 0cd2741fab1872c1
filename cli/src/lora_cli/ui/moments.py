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
    revision: str | None = None
    """What they answered with then."""
    over: bool = False
    """Whether it has been edited again since, here or elsewhere: this edit is of no interest any more."""


def after(moment: Moment, adapter: Adapter, now: float) -> Moment:
    """What is known of an edit once the object was seen as it is."""
    if adapter.meta.generation > moment.generation:
        return replace(moment, over=True)
    served = adapter.meta.generation == moment.generation and standing(adapter).progress is Progress.DONE
    if moment.took_seconds is not None or not served:
        return moment
    return replace(moment, took_seconds=now - moment.began, revision=adapter.status.revision)
