"""Which of several operators works: the rules of the Lease, those of client-go.

A Lease says who holds it and for how long. Nobody's clock is compared with anybody else's: who waits for a Lease counts
on its own clock since when the Lease has looked the same, and who holds it counts on its own since it last asked to
renew it, which was before anybody could see the renewal. Times here are seconds on that clock, which never jumps.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """How long what lasts, in seconds."""

    lease: float = 15
    """A Lease that has looked the same for this long is nobody's any more."""
    write: float = 10
    """So long after the last renewal its holder begins no more writes. The rest is for those that are under way."""
    renew: float = 5
    """How long a renewal is good enough, before the next one is due."""
    retry: float = 1
    """How soon a renewal that failed is tried again."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a stored Lease says."""

    holder: str
    """Empty when its last holder has given it up."""
    seconds: float
    """How long its holder asked for."""
    renewed: str
    """The holder's own word for when it was last renewed: never read as a time, only compared."""
    transitions: int
    """How many holders it has had before this one."""
    acquired: str = ""
    """The holder's word for when it got it; for people."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A Lease, and since when it has looked like that."""

    lease: Lease | None
    since: float


@dataclass(frozen=True, slots=True)
class Claim:
    """Take it now."""

    transitions: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Renew:
    """Say that it is still held, with an answer within so long."""

    seconds: float


def sighted(before: Sighting | None, lease: Lease | None, now: float) -> Sighting:
    """What is seen now, in the light of what was seen before."""
    if before is not None and before.lease == lease:
        return before
    return Sighting(lease, now)


def candidate_step(seen: Sighting, now: float, container: str = "") -> Claim | Wait:
    """What somebody does who does not hold the Lease.

    Args:
        seen: what is known of it.
        now: the time.
        container: with what the names of all processes begin of which this is the only one that runs; empty if there
            are no such.
    """
    lease = seen.lease
    if lease is None:
        return Claim(transitions=0)
    left = seen.since + lease.seconds - now
    dead = bool(container) and lease.holder.startswith(container)
    if lease.holder and left > 0 and not dead:
        return Wait(left)
    return Claim(lease.transitions + 1)


def holder_step(renewed: float, tried: float, now: float, terms: Terms) -> Renew | Wait:
    """What its holder does: for ever, since a renewal that succeeds, however late, shows that nobody had it meanwhile.

    Args:
        renewed: when the last renewal that succeeded was begun.
        tried: when the last one was begun, be it that it failed.
        now: the time.
        terms: how long what lasts.
    """
    due = renewed + terms.renew if tried <= renewed else tried + terms.retry
    if now < due:
        return Wait(due - now)
    # A request that hangs must leave time for another one, on a new connection.
    return Renew(max(terms.retry, terms.write / 4))


def is_lost(found: Lease | None, name: str) -> bool:
    """Whether the holder of this name has lost the Lease, to judge by what it says now.

    One that somebody deleted is made again, unless somebody else is faster.
    """
    return found is not None and found.holder != name


def seconds_to_write(renewed: float, now: float, terms: Terms) -> float:
    """How long a write that is begun now may take; 0 or less when none may be begun.

    One that is given up in time has reached the API server, if at all, before anybody else could hold the Lease, unless
    the network kept it: see ADR 12 for what fences those.
    """
    return 0.0 if now >= renewed + terms.write else renewed + terms.lease - now
