"""The changes of LoRAAdapters that are under way, and who is told when one has arrived."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from lora_operator.clients.clock import Clock
from lora_operator.domain import changes
from lora_operator.domain.changes import Change, Pass
from lora_operator.domain.observed import ModelKey


class Changes:
    """Follows each change from its event to the status that says that every pod serves it."""

    def __init__(self, clock: Clock, arrived: Sequence[Callable[[Change], None]]) -> None:
        """Takes whom to tell."""
        self._clock = clock
        self._arrived = arrived
        self._open: dict[ModelKey, dict[str, Change]] = defaultdict(dict)

    def seen(self, key: ModelKey, uid: str, name: str, generation: int) -> None:
        """An event showed a generation that its status does not know yet."""
        known = self._open[key].get(uid)
        if known is None or known.generation < generation:
            self._open[key][uid] = Change(key, uid, name, generation, self._clock.steady())

    def since(self, key: ModelKey) -> Mapping[str, datetime]:
        """When the changes of the model that are under way were seen, by UID of the adapter."""
        return {uid: change.seen for uid, change in self._open.get(key, {}).items()}

    def passed(self, key: ModelKey, one: Pass) -> None:
        """A pass over the model has ended."""
        for change in tuple(self._open.get(key, {}).values()):
            after = changes.advanced(change, one)
            if after is None or after.reported is not None:
                del self._open[key][change.uid]
            else:
                self._open[key][change.uid] = after
            if after is not None and after.reported is not None:
                for tell in self._arrived:
                    tell(after)
        if not self._open.get(key):
            self._open.pop(key, None)
