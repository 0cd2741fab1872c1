"""The inventory: what one pod has, and what it serves."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated

from pydantic import Field

from lora_api.mixture_api import MixtureReport
from lora_api.runtime_api.limits import MAX_NAMES, QUICK
from lora_api.wire import Revision, ToldReason, WireModel


class RevisionState(StrEnum):
    """How far a pod is with one revision of one served name, in order."""

    FETCHING = "Fetching"
    LOADING = "Loading"
    PREPARED = "Prepared"
    """In the engine, and invisible to clients."""
    SERVING = "Serving"
    DRAINING = "Draining"
    """Replaced; requests that began on it are ending."""
    FAILED = "Failed"


class RevisionReport(WireModel):
    """One revision of one served name in one pod."""

    revision: Revision
    state: RevisionState
    reason: ToldReason | None = None
    """Set when Failed, or when what is Serving does not pass a check that was asked for later."""
    message: str = ""
    """Why it failed; or else what its author should know, although it is sound."""
    rank: int | None = None
    energy: float | None = None
    """Of a blend whose rank was limited: the share of the sum of squared singular values that was kept."""
    size_bytes: int | None = None
    """Bytes of the published tensors, on the pod's disk."""
    host_bytes: int | None = None
    """Bytes it takes in the engine's host cache while it is there, over all workers; unset before it was loaded."""
    bytes_done: int | None = None
    bytes_total: int | None = None
    """Download progress in bytes while Fetching; the total is unset while unknown."""


class AdapterReport(WireModel):
    """One served name in one pod."""

    name: str
    uid: str | None = None
    """Of the LoRAAdapter that what is in service belongs to: one that was created anew is another. None where nothing is in
    service, or the runtime is of a version that does not tell."""
    revisions: Annotated[tuple[RevisionReport, ...], QUICK] = ()

    @property
    def serving(self) -> str | None:
        """The revision that answers new requests now."""
        return next((r.revision for r in self.revisions if r.state is RevisionState.SERVING), None)

    def report(self, revision: str) -> RevisionReport | None:
        """The report of one revision; a live one wins over one that is draining."""
        found = [r for r in self.revisions if r.revision == revision]
        return min(found, key=lambda r: r.state is RevisionState.DRAINING, default=None)


class Capacity(WireModel):
    """Room for adapters in one pod's engine, as the engine was started."""

    slots: int
    """Adapters that can take part in one batch."""
    slot_bytes: int
    """Device memory of one slot, over all devices: the same for every adapter, whatever its rank."""
    max_cached: int
    """Adapters that the engine holds in host memory."""


class Inventory(WireModel):
    """What one pod has, and what it serves."""

    boot_id: str
    """New at every start of the process: what an earlier one had loaded is gone."""
    etag: str
    """Changes whenever anything else here does."""
    version: int = 0
    """Counts the changes since the start of the process: of two inventories of one boot, the higher is the newer."""
    desired_sequence: int | None = None
    """The document the pod works on; None before the first."""
    desired_etag: str | None = None
    capacity: Capacity | None = None
    """None until the engine is there."""
    adapters: Annotated[tuple[AdapterReport, ...], QUICK] = Field(default=(), max_length=MAX_NAMES)
    mixture: MixtureReport | None = None
    """Of a pod that is to serve one."""
    since: int | None = None
    """When set, `adapters` has only what has changed after that version of the same boot."""
    gone: Annotated[tuple[str, ...], QUICK] = ()
    """Names of which nothing is left, although something was at the version `since`."""

    @cached_property
    def by_name(self) -> Mapping[str, AdapterReport]:
        """The reports by served name."""
        return {adapter.name: adapter for adapter in self.adapters}

    def adapter(self, name: str) -> AdapterReport | None:
        """The report for a served name."""
        return self.by_name.get(name)

    def followed_by(self, news: "Inventory") -> "Inventory | None":
        """This inventory with the news; None when they are of another boot, or leave out something in between."""
        if news.since is None:
            return news
        if news.boot_id != self.boot_id or not news.since <= self.version <= news.version:
            return None
        reports = {**self.by_name, **news.by_name}
        for name in news.gone:
            reports.pop(name, None)
        whole = news.model_copy(update={"adapters": tuple(reports.values()), "since": None, "gone": ()})
        whole.__dict__["by_name"] = reports
        return whole


class EngineMemory(WireModel):
    """What the engine's own tensors take now, over all its workers."""

    host_bytes: dict[str, int]
    """By the engine's name of each adapter in the host cache, `<served name>@<revision>.<n>`."""
    resident: tuple[str, ...]
    """Engine names of the adapters that have a slot, sorted."""
    slots_bytes: int
    """Device memory of all slots, used or not."""
