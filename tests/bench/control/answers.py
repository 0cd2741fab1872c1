"""Which revision an answer is of. Pure."""

from collections.abc import Callable
from http import HTTPStatus

from bench.control.changes import Change
from bench.control.observer import Sighting
from bench.served.reference import References

Is = Callable[[Sighting], bool]


def old(change: Change, references: References) -> Is:
    """Whether an answer is of what was there before."""
    if change.before is None:
        # The name is unknown, and then known and not served yet.
        return lambda seen: seen.status in (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)
    tokens = references[change.before][change.prompt].tokens
    return lambda seen: seen.tokens == tokens


def new(change: Change, references: References) -> Is:
    """Whether an answer is of what the change leads to."""
    if change.after is None:
        return lambda seen: seen.status == HTTPStatus.NOT_FOUND
    tokens = references[change.after][change.prompt].tokens
    return lambda seen: seen.tokens == tokens
