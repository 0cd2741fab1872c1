"""Who may use the engine next: fair between adapters, and never more adapters at once than it has slots.

Pure: time comes in. vLLM alone serves first come first served, so that one adapter's flood delays everybody, and
skips a request whose adapter has no slot for as long as others keep theirs busy, which may be for ever.
"""

import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

PATIENCE_SECONDS = 0.5
"""A request that waits longer for a slot makes the adapter that has had one longest give it back."""


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One generation on its way into the engine."""

    name: str
    """Whom it counts for: the served name."""
    adapter: str | None
    """Engine name of the adapter that takes a slot; None for the base model."""
    since: float
    """When it came, in monotonic seconds."""


@dataclass(slots=True)
class _Slot:
    """An adapter with generations in the engine."""

    order: int
    running: int = 0


@dataclass(slots=True)
class Admission:
    """Decides by max-min fairness: who has the fewest generations in the engine goes first, then who waited longest."""

    slots: int
    """Adapters that may be in use at once."""
    sequences: int
    """Generations that may be in the engine at once."""
    patience_seconds: float = PATIENCE_SECONDS
    _waiting: dict[str, deque[Ticket]] = field(default_factory=lambda: defaultdict(deque))
    _running: set[Ticket] = field(default_factory=set)
    _by_name: Counter[str] = field(default_factory=Counter)
    _slots: dict[str, _Slot] = field(default_factory=dict)
    _orders: Iterator[int] = field(default_factory=itertools.count)

    def ask(self, ticket: Ticket) -> None:
        """Queues a ticket."""
        self._waiting[ticket.name].append(ticket)

    def leave(self, ticket: Ticket) -> None:
        """It has ended or given up, wherever it was; nothing happens the second time."""
        if ticket in self._running:
            self._running.remove(ticket)
            self._by_name[ticket.name] -= 1
            self._forget_idle(ticket.name)
            if ticket.adapter is not None:
                slot = self._slots[ticket.adapter]
                slot.running -= 1
                if not slot.running:
                    del self._slots[ticket.adapter]
        elif ticket in self._waiting.get(ticket.name, ()):
            self._waiting[ticket.name].remove(ticket)
            self._forget_idle(ticket.name)

    def admit(self, now: float) -> list[Ticket]:
        """Lets in everybody who may go in now.

        Args:
            now: monotonic time in seconds.
        """
        admitted = []
        while len(self._running) < self.sequences and (ticket := self._next(now)) is not None:
            self._waiting[ticket.name].popleft()
            self._forget_idle(ticket.name)
            self._running.add(ticket)
            self._by_name[ticket.name] += 1
            if ticket.adapter is not None:
                slot = self._slots.setdefault(ticket.adapter, _Slot(next(self._orders)))
                slot.running += 1
            admitted.append(ticket)
        return admitted

    def uses(self, adapter: str) -> bool:
        """Whether generations with this adapter are in the engine, or on the last step into it."""
        return adapter in self._slots

    @property
    def waiting(self) -> int:
        """Tickets that have not been admitted."""
        return sum(map(len, self._waiting.values()))

    def _next(self, now: float) -> Ticket | None:
        heads = [queue[0] for queue in self._waiting.values()]
        closing = self._closing(heads, now)
        free = len(self._slots) < self.slots
        eligible = (
            head
            for head in heads
            if head.adapter is None or (head.adapter not in closing if head.adapter in self._slots else free)
        )
        return min(eligible, key=lambda head: (self._by_name[head.name], head.since), default=None)

    def _closing(self, heads: list[Ticket], now: float) -> set[str]:
        """The adapters that get no new generations, until they have ended and given their slots to who starves."""
        if len(self._slots) < self.slots:
            return set()
        starving = {
            head.adapter
            for head in heads
            if head.adapter is not None
            and head.adapter not in self._slots
            and now - head.since >= self.patience_seconds
        }
        longest_first = sorted(self._slots, key=lambda adapter: self._slots[adapter].order)
        return set(longest_first[: len(starving)])

    def _forget_idle(self, name: str) -> None:
        if not self._waiting.get(name):
            self._waiting.pop(name, None)
        if not self._by_name[name]:
            del self._by_name[name]
