"""Which adapters the engine holds in host memory, least recently used first. Pure."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from lora_runtime.engine.protocol import LoadedAdapter


@dataclass(slots=True)
class HostCache:
    """Keeps count, so that the engine's own cache never overflows: that one evicts without asking who is in use."""

    capacity: int
    _held: OrderedDict[str, LoadedAdapter] = field(default_factory=OrderedDict)

    def __contains__(self, engine_name: str) -> bool:
        return engine_name in self._held

    @property
    def full(self) -> bool:
        """Whether something has to go before anything comes."""
        return len(self._held) >= self.capacity

    def add(self, adapter: LoadedAdapter) -> None:
        """It is in the engine now."""
        self._held[adapter.engine_name] = adapter

    def touch(self, engine_name: str) -> None:
        """It is being used."""
        self._held.move_to_end(engine_name)

    def overtaken(self, engine_name: str) -> None:
        """Nobody will want it any more: it is the first to go."""
        if engine_name in self._held:
            self._held.move_to_end(engine_name, last=False)

    def remove(self, engine_name: str) -> None:
        """It is not in the engine any more."""
        del self._held[engine_name]

    def victim(self, in_use: Callable[[str], bool]) -> LoadedAdapter | None:
        """The least recently used adapter that nobody uses; None when all are in use."""
        return next((adapter for name, adapter in self._held.items() if not in_use(name)), None)
