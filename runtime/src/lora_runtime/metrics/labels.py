"""Names of adapters as label values: a bounded number of them, whoever asks for what."""

from collections.abc import Iterable

from lora_runtime.observer import UNKNOWN

OTHER = "_other"
"""Stands for every adapter beyond the limit. No served name begins with an underscore."""


class AdapterLabels:
    """The first names that come get a label of their own, until they are forgotten; the others share one."""

    def __init__(self, base: str, limit: int) -> None:
        """Takes the base model's served name, which always has its label, and how many adapters have one."""
        self._always = (base, UNKNOWN)
        self._limit = limit
        self._own: set[str] = set()

    def of(self, name: str) -> str:
        """The label value of the base model, of a declared adapter, or of UNKNOWN."""
        if name in self._own or name in self._always:
            return name
        if len(self._own) >= self._limit:
            return OTHER
        self._own.add(name)
        return name

    def forget(self, name: str) -> None:
        """Frees the label of an adapter that is gone."""
        self._own.discard(name)

    def shown(self, names: Iterable[str]) -> set[str]:
        """Of these adapters the ones to list one by one: those with a label of their own, and others if there is room."""
        ordered = sorted(names, key=lambda name: (name not in self._own, name))
        return set(ordered[: self._limit])
