"""Pods that decide as real ones do, with loads that take no time and fail where they are told to."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from lora_api.runtime_api import (
    AdapterReport,
    Desired,
    DesiredAdapter,
    Inventory,
    RevisionReport,
    RevisionSpec,
    RevisionState,
)
from lora_api.v1alpha1.conditions import Reason
from lora_runtime import plan

_BOOTS = itertools.count()
_MANY = 20
"""Steps for one name without a new document: from any state it takes four."""


@dataclass(slots=True)
class Name:
    """What a pod has of one served name."""

    wanted: DesiredAdapter | None = None
    uid: str = ""
    serving: RevisionSpec | None = None
    prepared: dict[str, RevisionSpec] = field(default_factory=dict)
    failed: dict[str, float] = field(default_factory=dict)

    def local(self) -> plan.Local:
        serving = None if self.serving is None else self.serving.revision
        return plan.Local(self.uid, serving, frozenset(self.prepared), {}, dict(self.failed))


@dataclass(slots=True)
class Pod:
    """One pod of the model; it is ready once everything that its document serves is served or has failed."""

    name: str
    broken: set[str] = field(default_factory=set)
    """Served names that this pod cannot load anything for now."""
    document: Desired | None = None
    names: dict[str, Name] = field(default_factory=dict)
    boot_id: str = field(default_factory=lambda: f"boot-{next(_BOOTS)}")
    version: int = 0
    ready: bool = False
    told: set[tuple[str, str, str]] = field(default_factory=set)
    """Served name, UID and revision of everything that it was told to serve since it began."""

    def put(self, document: Desired) -> bool:
        """Whether it takes the document: never an older one, nor another one of the same sequence."""
        known = self.document
        if known is not None and known.etag != document.etag and known.sequence >= document.sequence:
            return False
        self._adopt(document)
        return True

    def restart(self, *mounted: Desired | None) -> None:
        """Its process begins again with the newest document that it finds."""
        found = [document for document in (*mounted, self.document) if document is not None]
        self.names, self.document, self.ready = {}, None, False
        self.told.clear()
        self.boot_id = f"boot-{next(_BOOTS)}"
        if found:
            self._adopt(max(found, key=lambda document: document.sequence))

    def has(self, served_name: str, revision: str) -> bool:
        """Whether it could serve this at once."""
        name = self.names.get(served_name)
        if name is None:
            return False
        return revision in name.prepared or (name.serving is not None and name.serving.revision == revision)

    def is_told_to_serve_what_it_serves(self, served_name: str) -> bool:
        """Whether its document asks for what it serves under a name."""
        name = self.names[served_name]
        told = None if name.wanted is None else name.wanted.serve
        return told is not None and name.serving is not None and told.revision == name.serving.revision

    def step(self, served_name: str, now: float) -> bool:
        """One step for one name; whether there was any to take."""
        name = self.names[served_name]
        wanted = () if name.wanted is None else (name.wanted.serve, name.wanted.prepare)
        name.failed = {r: at for r, at in name.failed.items() if any(s is not None and s.revision == r for s in wanted)}
        step = plan.next_step(name.wanted, name.local(), now)
        match step:
            case plan.Rest():
                if name.wanted is None and name.serving is None and not name.prepared:
                    del self.names[served_name]
                return False
            case plan.Prepare(spec):
                if served_name in self.broken:
                    name.failed[spec.revision] = now + 1
                else:
                    name.failed.pop(spec.revision, None)
                    name.prepared[spec.revision] = spec
            case plan.Flip(revision, uid):
                name.serving, name.uid = name.prepared.pop(revision), uid
            case plan.Withdraw():
                name.serving, name.uid = None, ""
            case plan.Discard(revision):
                del name.prepared[revision]
            case plan.Recheck():
                raise AssertionError("nothing here has a golden output")
        self.version += 1
        self.ready = self.ready or self._settled()
        return True

    def rest(self, now: float) -> bool:
        """All its steps; whether there was any."""
        moved = False
        for served_name in sorted(self.names):
            steps = 0
            while served_name in self.names and self.step(served_name, now):
                moved, steps = True, steps + 1
                assert steps < _MANY, f"{self.name} finds no rest with {served_name}"
        self.ready = self.ready or self._settled()
        return moved

    def inventory(self) -> Inventory:
        document = self.document
        return Inventory(
            boot_id=self.boot_id,
            etag=f"{self.boot_id}-{self.version}",
            version=self.version,
            desired_sequence=None if document is None else document.sequence,
            desired_etag=None if document is None else document.etag,
            adapters=tuple(
                AdapterReport(name=served_name, uid=name.uid or None, revisions=tuple(_reports(name)))
                for served_name, name in sorted(self.names.items())
            ),
        )

    def _adopt(self, document: Desired) -> None:
        self.document = document
        self.told |= {
            (each.name, each.uid, each.serve.revision) for each in document.adapters if each.serve is not None
        }
        wanted = {adapter.name: adapter for adapter in document.adapters}
        for served_name in wanted.keys() - self.names.keys():
            self.names[served_name] = Name()
        for served_name, name in self.names.items():
            name.wanted = wanted.get(served_name)
        self.version += 1

    def _settled(self) -> bool:
        return self.document is not None and all(
            name.wanted is None
            or name.wanted.serve is None
            or (name.serving is not None and name.serving.revision == name.wanted.serve.revision)
            or name.wanted.serve.revision in name.failed
            for name in self.names.values()
        )


def _reports(name: Name) -> Iterator[RevisionReport]:
    if name.serving is not None:
        yield RevisionReport(revision=name.serving.revision, state=RevisionState.SERVING)
    for revision in sorted(name.prepared):
        yield RevisionReport(revision=revision, state=RevisionState.PREPARED)
    for revision in sorted(name.failed):
        yield RevisionReport(revision=revision, state=RevisionState.FAILED, reason=Reason.LOAD_FAILED, message="no")
