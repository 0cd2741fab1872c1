"""What a request makes of what is declared, or why it changes nothing. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from lora_api.error_codes import ErrorCode, code_of
from lora_api.local_api import DeclaredBy
from lora_api.recipes import side_by_side
from lora_runtime.standalone.wish import Wish


class NotChanged(Exception):
    """A request that cannot be followed; says what to do instead."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotAsExpected(NotChanged):
    """What is there is not what the request was made for."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.CONFLICT, message)


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be there for a change to be made."""

    version: str | None = None
    """Of the adapter; None for any."""
    present: bool = False
    """Whether there must be one."""
    absent: bool = False
    """Whether there must be none."""


@dataclass(frozen=True, slots=True)
class There:
    """What is declared now."""

    given: tuple[Wish, ...]
    """By the command line and by requests."""
    read: tuple[Wish, ...]
    """In the file, whose word counts."""
    file: str
    """Where that is; empty if there is none."""


def declared(there: There, wish: Wish, base: str, expected: Expected) -> tuple[Wish, ...]:
    """What is given once a request has declared an adapter, new or not.

    Raises:
        NotChanged: it makes no sense beside the others, or is not the request's to change.
    """
    before = _found(there, wish.name)
    _check(there, wish.name, before, expected)
    given = tuple(wish if other.name == wish.name else other for other in there.given)
    if before is None:
        given += (wish,)
    rejected = side_by_side.rejections(in_order(given, there.read), base, lambda spec: None).get(wish.uid)
    if rejected is not None:
        raise NotChanged(code_of(rejected.reason), f"{rejected.reason}: {rejected.message}")
    return given


def dropped(there: There, name: str, expected: Expected) -> tuple[Wish, ...]:
    """What is given once a request has taken an adapter away.

    Raises:
        NotChanged: there is none, or it is not the request's to take.
    """
    before = _found(there, name)
    if before is None and not expected.present:
        known = ", ".join(wish.name for wish in (*there.given, *there.read)) or "none"
        raise NotChanged(ErrorCode.NOT_FOUND, f"no adapter {name} is declared here; declared are: {known}")
    _check(there, name, before, expected)
    return tuple(wish for wish in there.given if wish.name != name)


def yielding(given: Sequence[Wish], read: Sequence[Wish]) -> tuple[Wish, ...]:
    """What is given beside what a file says: requests have had their time once the file names an adapter."""
    names = {wish.name for wish in read}
    return tuple(wish for wish in given if wish.declared_by is not DeclaredBy.REQUEST or wish.name not in names)


def in_order(given: Sequence[Wish], read: Sequence[Wish]) -> tuple[Wish, ...]:
    """All of them; of two that claim a served name, the earlier has it. A request takes none from a file."""
    claimed = {wish.served_name for wish in read}
    late = [w for w in given if w.declared_by is DeclaredBy.REQUEST and w.served_name in claimed]
    return (*(wish for wish in given if wish not in late), *read, *late)


def _found(there: There, name: str) -> Wish | None:
    return next((wish for wish in (*there.given, *there.read) if wish.name == name), None)


def _check(there: There, name: str, before: Wish | None, expected: Expected) -> None:
    if before is not None and before.declared_by is DeclaredBy.FILE:
        raise NotChanged(
            ErrorCode.CONFLICT,
            f"{name} is declared in {there.file}, which has the last word: change it there, and what is saved is served "
            f"within a second or two",
        )
    if before is None and expected.present:
        raise NotAsExpected(f"there is no adapter {name} that could be changed; look at what is declared")
    if before is not None and expected.absent:
        raise NotAsExpected(f"there is an adapter {name} already; take another name, or replace it")
    if expected.version is not None and (before is None or before.version != expected.version):
        raise NotAsExpected(f"somebody else has changed {name} meanwhile; look again")
