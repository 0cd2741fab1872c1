"""What this process knows of a model's own objects: what it applied, and what it saw there lately."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lora_api import labels
from lora_api.runtime_api import Desired
from lora_operator.domain.observed import ModelKey, Refusal
from lora_operator.reconcile.reading import applied_hash

Object = Mapping[str, Any]
_Version = tuple[str, int | None, list[object]]
"""Changes when somebody changes what was applied, or makes the object anew."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there, apart from the Deployment."""

    objects: Mapping[str, Object]
    """The children by `Kind/name`."""
    desired: Desired | None
    """The document in force: the last that was told, or what was read."""
    stored: Desired | None
    """What the ConfigMap holds."""


@dataclass(slots=True)
class _Known:
    whole: bool = False
    """Whether all of it was read, and none of it touched since."""
    asking: bool = False
    """Whether it is being read, and nothing was touched meanwhile."""
    objects: dict[str, Object] = field(default_factory=dict)
    desired: Desired | None = None
    stored: Desired | None = None
    stored_version: str = ""
    versions: dict[str, _Version] = field(default_factory=dict)
    mine: set[str] = field(default_factory=set)
    """The children that were applied here."""
    refused: dict[str, Refusal] = field(default_factory=dict)


class Applied:
    """Spares most passes their reads; who hears that somebody else has edited something, says so here.

    A child seen for the first time since the start is taken as its hash says, so that no model looks as if it were rolling
    out; but it is inherited until it was applied once, since nobody watched it before.

    A document whose ConfigMap somebody deleted, or put back to an earlier one, is remembered, so that no adapter loses the
    revision that it serves.
    After a restart of the operator nobody knows it any more: pods tell which revisions they serve, but not how those
    are made. Adapters whose source is known are then served at once as they are wanted now; for one that is
    refused, the revision that was still served is given up.
    """

    def __init__(self) -> None:
        self._models: dict[ModelKey, _Known] = {}

    def seen(self, key: ModelKey) -> Seen | None:
        """What was read or written; None when that is in doubt."""
        known = self._models.setdefault(key, _Known())
        if not known.whole:
            known.asking = True
            return None
        return Seen(dict(known.objects), known.desired, known.stored)

    def stored(self, key: ModelKey, version: str) -> Desired | None:
        """The document in the ConfigMap of this version; None when that version was not read or written."""
        known = self._models.get(key)
        return known.stored if known is not None and known.stored_version == version else None

    def note_seen(
        self, key: ModelKey, objects: Mapping[str, Object], stored: Desired | None, version: str = ""
    ) -> Seen:
        """Takes note of all children, and of the document and its version; None when there is none to be read."""
        known = self._models.setdefault(key, _Known())
        known.whole, known.objects, known.stored, known.stored_version = known.asking, dict(objects), stored, version
        if stored is not None and (known.desired is None or stored.sequence > known.desired.sequence):
            known.desired = stored
        return Seen(dict(known.objects), known.desired, known.stored)

    def note_applied(self, key: ModelKey, child: str, stored: Object) -> None:
        """Takes note of what an apply of `Kind/name` answered."""
        known = self._models.setdefault(key, _Known())
        known.objects[child] = stored
        known.versions[child] = _version(stored)
        known.mine.add(child)
        known.refused.pop(child, None)

    def inherited(self, key: ModelKey, children: Iterable[str]) -> frozenset[str]:
        """Those that were not applied by this process."""
        known = self._models.get(key)
        return frozenset(children) - (known.mine if known is not None else set())

    def note_refused(self, key: ModelKey, child: str, refusal: Refusal) -> None:
        """Takes note of what the API server finds wrong with `Kind/name`."""
        self._models.setdefault(key, _Known()).refused[child] = refusal

    def refused(self, key: ModelKey) -> Mapping[str, Refusal]:
        """What was refused and not taken since, by `Kind/name`."""
        known = self._models.get(key)
        return {} if known is None else dict(known.refused)

    def note_stored(self, key: ModelKey, document: Desired, stored: Object) -> None:
        """Takes note of the document just written, and of the ConfigMap that holds it."""
        known = self._models.setdefault(key, _Known())
        known.desired = known.stored = document
        known.stored_version = stored["metadata"]["resourceVersion"]
        known.objects[f"ConfigMap/{stored['metadata']['name']}"] = {"metadata": stored["metadata"]}

    def note_told(self, key: ModelKey, document: Desired) -> None:
        """Takes note of a document that some pod is about to know."""
        self._models.setdefault(key, _Known()).desired = document

    def doubt(self, key: ModelKey) -> None:
        """Somebody else has written one of the model's objects: none is as it was seen."""
        if key in self._models:
            self._models[key].whole = self._models[key].asking = False

    def doubt_all(self) -> None:
        """Events of such objects may have been missed."""
        for key in self._models:
            self.doubt(key)

    def knows(self, key: ModelKey, child: str, metadata: Mapping[str, Any]) -> bool:
        """Whether `Kind/name` was seen with this metadata, or with another status at most."""
        known = self._models.get(key)
        if known is None:
            return False
        if "generation" in metadata:
            return known.versions.get(child) == _version({"metadata": metadata})
        seen = known.objects.get(child)
        return seen is not None and seen["metadata"]["resourceVersion"] == metadata["resourceVersion"]

    def hash(self, key: ModelKey, child: str, stored: Object) -> str:
        """The hash that `Kind/name` carries; empty when it is no longer what was applied."""
        versions = self._models.setdefault(key, _Known()).versions
        known = versions.setdefault(child, _version(stored))
        return applied_hash(stored) if known == _version(stored) else ""

    def forget(self, key: ModelKey) -> None:
        """The model is gone, or not what it was: look at everything anew."""
        self._models.pop(key, None)


def _version(stored: Object) -> _Version:
    metadata = stored["metadata"]
    return metadata["uid"], metadata.get("generation"), _ours(metadata)


def _ours(metadata: Mapping[str, Any]) -> list[object]:
    """The fields that are as they were applied; what others change becomes theirs.

    Beside the generation, since a Service has none, and labels do not change it.
    """
    entries = metadata.get("managedFields") or ()
    return [entry.get("fieldsV1") for entry in entries if entry.get("manager") == labels.FIELD_MANAGER]
