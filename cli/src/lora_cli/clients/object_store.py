"""Where LoRAModels and LoRAAdapters are: in a cluster, or in a server without one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from lora_cli.domain.objects import Json


class ObjectStore(Protocol):
    """Reads and writes them as plain JSON. Every call may raise Failed."""

    def get(self, plural: str, name: str) -> Json:
        """One object, which must be there."""
        ...

    def find(self, plural: str, name: str) -> Json | None:
        """One object, or None when there is none."""
        ...

    def list(self, plural: str, *, namespace: str | None = None, model: str | None = None) -> Json:
        """All of a kind as they were together, perhaps those of one model only, with the version of that moment."""
        ...

    def follow(self, plural: str, last: Json, *, namespace: str | None = None) -> Iterator[tuple[str, Json]]:
        """Each change after a list, without end, as (ADDED, MODIFIED or DELETED, object), or (LISTED, a whole list)."""
        ...

    def create(self, plural: str, manifest: Mapping[str, Any]) -> Json:
        """A new object, as it is stored."""
        ...

    def merge(self, plural: str, name: str, patch: Mapping[str, Any]) -> Json:
        """The object after a merge patch."""
        ...

    def patch(self, plural: str, name: str, steps: Sequence[Json]) -> Json:
        """The object after the steps of a JSON patch, all or none."""
        ...

    def delete(self, plural: str, name: str) -> None:
        """Takes an object away."""
        ...
