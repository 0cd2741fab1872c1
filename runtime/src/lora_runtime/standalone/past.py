"""What each adapter was before, kept in the state folder over a restart of the process."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from lora_api.recipes import history
from lora_api.v1alpha1.adapter import HistoryEntry
from lora_runtime import whole_files
from lora_runtime.standalone.conclude import Concluded

log = logging.getLogger(__name__)

_Entries = tuple[HistoryEntry, ...]
_KEPT: TypeAdapter[dict[str, _Entries]] = TypeAdapter(dict[str, _Entries])


@dataclass(frozen=True, slots=True)
class Past:
    """Of one adapter."""

    version: str = ""
    """Of the spec that was heard last."""
    generation: int = 0
    """When that was: other ones that are heard later have a larger number."""
    history: _Entries = ()


NONE = Past()

Pasts = Mapping[str, Past]
"""By UID."""


def after(before: Pasts, concluded: Concluded, generation: int, now: str, *, keep_others: bool) -> Pasts:
    """What is known of the past once the present has come to something.

    Args:
        before: what was known of it.
        concluded: the present.
        generation: of the specs that are new in it.
        now: as in RFC 3339.
        keep_others: whether what nobody wishes is not over: not all wishes are known.
    """
    found = dict(before) if keep_others else {}
    for wish in concluded.wishes:
        past = before.get(wish.uid, NONE)
        answer = concluded.answers.get(wish.uid)
        known = None if answer is None else answer.facts
        entries = history.after(past.history, wish.spec, concluded.outcomes[wish.uid], known, now)
        same = past.version == wish.version
        found[wish.uid] = Past(wish.version, past.generation if same else generation, entries)
    return found


class Memory:
    """Lives on one event loop; what other threads may call is marked."""

    def __init__(self, state: Path, now: Callable[[], str]) -> None:
        """Remembers what earlier processes have kept in the folder `state`; `now` tells the moment as in RFC 3339."""
        self._file, self._now = state / "history.json", now
        self._generation = 0
        self._pasts: Pasts = {uid: Past(history=entries) for uid, entries in _read(self._file).items()}
        self._kept = self._entries()
        self._writing: asyncio.Task[None] | None = None

    @property
    def pasts(self) -> Pasts:
        """Any thread: of every adapter that is declared."""
        return self._pasts

    def hear(self, concluded: Concluded, *, keep_others: bool) -> None:
        """Takes in what the wishes come to now; see `after`."""
        self._generation += 1
        self._pasts = after(self._pasts, concluded, self._generation, self._now(), keep_others=keep_others)
        # Nobody waits for the disk; who comes while it is being written is written next.
        if self._writing is None and self._entries() != self._kept:
            self._writing = asyncio.create_task(self._write())

    def _entries(self) -> dict[str, _Entries]:
        return {uid: past.history for uid, past in self._pasts.items() if past.history}

    async def _write(self) -> None:
        try:
            while (entries := self._entries()) != self._kept:
                # What cannot be written is tried again with the next change, and not at once.
                self._kept = entries
                try:
                    await asyncio.to_thread(_write, self._file, entries)
                except OSError as error:
                    log.warning("history not kept file=%s why=%s", self._file, error)
        finally:
            self._writing = None


def _write(file: Path, entries: dict[str, _Entries]) -> None:
    whole_files.write(file, _KEPT.dump_json(entries, by_alias=True, exclude_none=True))


def _read(file: Path) -> dict[str, _Entries]:
    try:
        return _KEPT.validate_json(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("history begins anew, as what was kept cannot be read file=%s why=%s", file, error)
        return {}
