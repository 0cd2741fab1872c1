"""What to do next for one served name. Pure: what is wanted and what is there, in; one step, out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lora_api.runtime_api import DesiredAdapter, RevisionSpec


@dataclass(frozen=True, slots=True)
class Local:
    """What this pod has of one served name."""

    uid: str = ""
    """UID of the LoRAAdapter that what is here belongs to."""
    serving: str | None = None
    """Revision that answers new requests."""
    prepared: frozenset[str] = frozenset()
    """Revisions in the engine that no client can see."""
    unchecked: Mapping[str, float] = field(default_factory=dict)
    """Revisions in the engine that were held against another golden output than is wanted now, to the monotonic time in
    seconds from which to check them."""
    failed: Mapping[str, float] = field(default_factory=dict)
    """Revisions that failed, to the monotonic time in seconds from which to try again; infinite for never."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Bring a revision into the engine, invisibly."""

    spec: RevisionSpec


@dataclass(frozen=True, slots=True)
class Flip:
    """Make new requests use a prepared revision."""

    revision: str
    uid: str
    """Of the LoRAAdapter that it is wanted for."""


@dataclass(frozen=True, slots=True)
class Recheck:
    """Hold the revision in service against the golden output that is wanted now; it stays in service."""

    spec: RevisionSpec


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Make the name unknown to new requests."""


@dataclass(frozen=True, slots=True)
class Discard:
    """Take a prepared revision that nobody wants any more out of the engine."""

    revision: str


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until something changes, or until a time in monotonic seconds."""

    until: float | None = None


Step = Prepare | Flip | Recheck | Withdraw | Discard | Rest


def next_step(wanted: DesiredAdapter | None, local: Local, now: float) -> Step:
    """The one most useful thing to do for a served name.

    What is served goes first, a name is withdrawn before anything of another object is loaded for it, and the
    revision in service is never touched on the way to the next.

    Args:
        wanted: the entry of the desired document; None when the name is not in it.
        local: what is here.
        now: monotonic time in seconds.
    """
    serve = wanted.serve if wanted is not None else None
    prepare = wanted.prepare if wanted is not None else None
    foreign = wanted is not None and local.uid not in ("", wanted.uid)

    if local.serving is not None and (serve is None or foreign):
        return Withdraw()
    kept = {spec.revision for spec in (serve, prepare) if spec is not None} - local.unchecked.keys()
    if wanted is not None and serve is not None:
        if serve.revision != local.serving and serve.revision in local.prepared & kept:
            return Flip(serve.revision, wanted.uid)
        if serve.revision == local.serving and local.unchecked.get(serve.revision, math.inf) <= now:
            return Recheck(serve)

    for revision in sorted(local.prepared - kept):
        # Before anything is loaded: the engine has room for one revision beside the one that is served.
        return Discard(revision)

    missing = [
        spec
        for spec in (serve, prepare)
        if spec is not None and spec.revision != local.serving and spec.revision not in local.prepared
    ]
    for spec in missing:
        if local.failed.get(spec.revision, now) <= now:
            return Prepare(spec)

    later = [local.failed[spec.revision] for spec in missing]
    if local.serving is not None and local.serving in local.unchecked:
        later.append(local.unchecked[local.serving])
    return Rest(until=min((at for at in later if at != math.inf), default=None))
