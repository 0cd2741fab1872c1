"""Builders of what was seen: each argument that a test leaves out is the ordinary case."""

from collections.abc import Collection
from dataclasses import replace

from chaos.sightings import Moment, SeenPod, Status, Wanted
from chaos.wishes import Content

OLD: Content = (("files", 0.5),)
NEW: Content = (("files", 1.0),)
FOREIGN: Content = (("other files", 1.0),)
POD = SeenPod("p0", ready=True, boot="boot-1", served={"a": frozenset([NEW])})
READY = Status("uid-a", ready=True, available=True, observed_generation=1, updated=1)


def a_wish(content: Content | None = NEW, *, uid: str = "uid-a", since: float = -100.0) -> Wanted:
    return Wanted("a", uid, 1, content, since, frozenset([OLD, NEW]))


def a_pod(*served: Content, **rest: object) -> SeenPod:
    """One that serves `a` as one of these; not at all without any."""
    return replace(POD, served={"a": frozenset(served)} if served else {}, **rest)  # type: ignore[arg-type]


def a_moment(
    at: float = 0.0,
    pod: SeenPod = POD,
    *,
    wish: Wanted | None = None,
    status: Status = READY,
    operating: bool = True,
    others: Collection[SeenPod] = (),
) -> Moment:
    wanted = a_wish() if wish is None else wish
    return Moment(at, {"a": wanted}, {"a": status}, (pod, *others), operating)
