"""Which children are as this process last applied them."""

from collections.abc import Mapping
from typing import Any

from lora_operator.domain.observed import ModelKey
from lora_operator.reconcile.reading import applied_hash


class Applied:
    """Remembers the generation of each child, so that an edit by somebody else is seen and undone.

    A child seen for the first time since the start is taken as its hash says: to apply it anew to make sure would
    make every model look as if it were rolling out, at every start of the operator.
    """

    def __init__(self) -> None:
        self._generations: dict[ModelKey, dict[str, tuple[str, int | None]]] = {}
        self._secrets: dict[ModelKey, str] = {}

    def note(self, key: ModelKey, child: str, stored: Mapping[str, Any]) -> None:
        """Takes note of what an apply of `Kind/name` answered."""
        self._generations.setdefault(key, {})[child] = _version(stored)

    def note_secret(self, key: ModelKey, model_uid: str, name: str) -> None:
        """The certificate Secret of this very model exists."""
        self._secrets[key] = f"{model_uid}/{name}"

    def has_secret(self, key: ModelKey, model_uid: str, name: str) -> bool:
        """Whether this process has made sure of the certificate Secret."""
        return self._secrets.get(key) == f"{model_uid}/{name}"

    def hash(self, key: ModelKey, child: str, stored: Mapping[str, Any]) -> str:
        """The hash that `Kind/name` carries; empty when it is no longer what was applied."""
        known = self._generations.setdefault(key, {}).setdefault(child, _version(stored))
        return applied_hash(stored) if known == _version(stored) else ""

    def forget(self, key: ModelKey) -> None:
        """The model is gone."""
        self._generations.pop(key, None)
        self._secrets.pop(key, None)


def _version(stored: Mapping[str, Any]) -> tuple[str, int | None]:
    # Kinds without a generation (Service) are compared by their hash alone.
    return stored["metadata"]["uid"], stored["metadata"].get("generation")
