"""Finding, pinning and checking one source before anybody serves it."""

from enum import StrEnum

from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import AdapterCondition
from lora_api.wire import Digest, ToldReason, WireModel


class ResolveRequest(WireModel):
    """Asks a pod to find, pin and check one adapter."""

    source: AdapterSource
    digest: Digest | None = None
    """The user's pin: anything else is refused."""


class AdapterFacts(WireModel):
    """What is true of a source that was found, pinned and checked."""

    source: AdapterSource
    """The source, pinned: with a commit, ETags or a digest."""
    digest: Digest
    rank: int
    """Largest rank over its modules."""
    size_bytes: int


class Refusal(WireModel):
    """Why a source cannot be served."""

    condition: AdapterCondition
    """FETCHED or COMPATIBLE."""
    reason: ToldReason
    message: str
    retryable: bool
    """True when trying again may help although the spec is unchanged: an unreachable hub, a file not yet there."""


class ResolveState(StrEnum):
    """State of one resolution."""

    FETCHING = "Fetching"
    RESOLVED = "Resolved"
    REFUSED = "Refused"


class ResolveResponse(WireModel):
    """The answer so far; ask again while Fetching."""

    state: ResolveState
    facts: AdapterFacts | None = None
    refusal: Refusal | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
