"""What this process knows of a model's own objects: what it applied, and what it saw there lately."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from lora_api.runtime_api import Desired
from lora_operator.domain.observed import ModelKey
from lora_operator.reconcile.reading import applied_hash

Object = Mapping[str, Any]

_FRESH = timedelta(seconds=30)
"""How long a look is good for objects that nobody but the operator has reason to touch."""


@dataclass(slots=True)
class _Known:
    read_at: datetime | None = None
    objects: dict[str, Object] = field(default_factory=dict)
    desired: Desired | None = None
    generations: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    secret: str | None = None


class Applied:
    """Spares most passes most of their reads, and still sees and undoes what somebody else edits.

    A child seen for the first time since the start is taken as its hash says: to apply it anew to make sure would
    make every model look as if it were rolling out, at every start of the operator.
    """

    def __init__(self) -> None:
        self._models: dict[ModelKey, _Known] = {}

    def seen(self, key: ModelKey, now: datetime) -> tuple[dict[str, Object], Desired | None] | None:
        """The children by `Kind/name` and the document, as seen or written lately; None when that was too long ago."""
        known = self._models.get(key)
        if known is None or known.read_at is None or now - known.read_at > _FRESH:
            return None
        return dict(known.objects), known.desired

    def note_seen(self, key: ModelKey, now: datetime, objects: Mapping[str, Object], desired: Desired | None) -> None:
        """Takes note of all children and of the document, as just read."""
        known = self._models.setdefault(key, _Known())
        known.read_at, known.objects, known.desired = now, dict(objects), desired

    def note_applied(self, key: ModelKey, child: str, stored: Object) -> None:
        """Takes note of what an apply of `Kind/name` answered."""
        known = self._models.setdefault(key, _Known())
        known.objects[child] = stored
        known.generations[child] = _version(stored)

    def note_desired(self, key: ModelKey, document: Desired) -> None:
        """Takes note of the document just written."""
        self._models.setdefault(key, _Known()).desired = document

    def note_secret(self, key: ModelKey, model_uid: str, name: str) -> None:
        """The certificate Secret of this very model exists."""
        self._models.setdefault(key, _Known()).secret = f"{model_uid}/{name}"

    def has_secret(self, key: ModelKey, model_uid: str, name: str) -> bool:
        """Whether this process has made sure of the certificate Secret."""
        known = self._models.get(key)
        return known is not None and known.secret == f"{model_uid}/{name}"

    def hash(self, key: ModelKey, child: str, stored: Object) -> str:
        """The hash that `Kind/name` carries; empty when it is no longer what was applied."""
        generations = self._models.setdefault(key, _Known()).generations
        known = generations.setdefault(child, _version(stored))
        return applied_hash(stored) if known == _version(stored) else ""

    def forget(self, key: ModelKey) -> None:
        """The model is gone, or not what it was: look at everything anew."""
        self._models.pop(key, None)


def _version(stored: Object) -> tuple[str, int | None]:
    # Kinds without a generation (Service) are compared by their hash alone.
    return stored["metadata"]["uid"], stored["metadata"].get("generation")
