"""What is told to whoever counts, while those who act stay free of metrics."""

from enum import StrEnum
from typing import Protocol

from lora_api.v1alpha1.conditions import Reason

UNKNOWN = "_unknown"
"""Stands for every name that nobody declared: clients can send any. No served name begins with an underscore."""


class Stage(StrEnum):
    """What a revision goes through on its way to replace another one."""

    PREPARE = "prepare"
    """Fetched, verified, checked, blended and loaded; without the wait for a base model and an engine that start."""
    FLIP = "flip"
    """The name answers with it."""
    DRAIN = "drain"
    """The one before has ended its requests and left the engine."""


class Outcome(StrEnum):
    """How a request ended."""

    OK = "ok"
    REFUSED = "refused"
    """Answered with 4xx: the client must ask for something else."""
    FAILED = "failed"
    """Answered with 5xx, or the engine failed in the middle of an answer."""
    ABORTED = "aborted"
    """The client left before the end of the answer."""


class Composed(StrEnum):
    """What became of a request that composes."""

    REUSED = "reused"
    """It was there."""
    MADE = "made"
    LIMITED = "limited"
    """Answered with 429 or 503: there were too many, or it was not made in time."""
    REFUSED = "refused"
    """Answered with 400 or 404."""


class Observer(Protocol):
    """Told what happens to adapters. Every call returns at once."""

    def took(self, stage: Stage, seconds: float) -> None:
        """A stage has ended well."""
        ...

    def failed(self, reason: Reason) -> None:
        """A preparation failed."""
        ...

    def forget(self, name: str) -> None:
        """A served name is gone, and no request uses it."""
        ...

    def composed(self, outcome: Composed, kept: int) -> None:
        """A request that composes was decided; so many compositions are kept now."""
        ...


class Nobody:
    """Takes no notice."""

    def took(self, stage: Stage, seconds: float) -> None:
        """See Observer.took."""

    def failed(self, reason: Reason) -> None:
        """See Observer.failed."""

    def forget(self, name: str) -> None:
        """See Observer.forget."""

    def composed(self, outcome: Composed, kept: int) -> None:
        """See Observer.composed."""
