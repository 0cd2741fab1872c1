"""What a runtime without a cluster tells of its adapters, and takes of those who may change them, on its serving port.

    GET    /lora/v1/adapters          what is declared, what is served of it, and why the rest is not
    PUT    /lora/v1/adapters/<name>   declares an adapter by its spec, or changes it; answers what there is of it
    DELETE /lora/v1/adapters/<name>   declares it no longer
    POST   /lora/v1/resolve           finds, pins and checks a source as for an adapter, and serves nothing of it

PUT and DELETE take the header `If-Match: "<version>"`, PUT also `If-None-Match: *`; `?dryRun=All` only checks. All three
that are not GET are refused unless the process was started to take changes.
"""

from enum import StrEnum

from lora_api.runtime_api import AdapterFacts, AdapterReport, Capacity
from lora_api.v1alpha1.adapter import HistoryEntry, LoRAAdapterSpec
from lora_api.v1alpha1.common import ModelSource
from lora_api.v1alpha1.conditions import Reason
from lora_api.wire import WireModel

ADAPTERS_PATH = "/lora/v1/adapters"
LOCAL_RESOLVE_PATH = "/lora/v1/resolve"

DISK = "disk"
"""The volume that is the whole disk of the machine."""


class LocalFile(WireModel):
    """The file with the adapters."""

    path: str
    problem: str | None = None
    """Why its present content is not worked on; what it held before is."""


class DeclaredBy(StrEnum):
    """Who says that an adapter is to be served."""

    COMMAND_LINE = "CommandLine"
    FILE = "File"
    """Whose word it is: the adapter can only be changed there."""
    REQUEST = "Request"
    """It is gone when the process ends."""


class LocalAdapter(WireModel):
    """One declared adapter."""

    name: str
    """Of the object; the served name where a command line declared it."""
    served_name: str
    spec: LoRAAdapterSpec
    version: str = ""
    """Names this very spec, for `If-Match`."""
    generation: int = 0
    """Grows with each change of the spec, as long as the process lives."""
    declared_by: DeclaredBy = DeclaredBy.COMMAND_LINE
    ready: bool
    """Whether what the spec says is what is served."""
    reason: Reason
    """Serving; or in one word, why it is not ready."""
    message: str = ""
    """Why, in words, and what to do about it."""
    revision: str | None = None
    """What the spec comes to; unset while that is not known."""
    facts: AdapterFacts | None = None
    """What its source turned out to be; unset for a blend."""
    report: AdapterReport | None = None
    """What there is of it: the revision that answers now, others that come and go."""
    history: tuple[HistoryEntry, ...] = ()
    """The last revisions that were wanted, newest first, also by earlier processes with the same state folder."""


class LocalState(WireModel):
    """Everything that is declared."""

    base: str
    """What clients call the base model."""
    source: ModelSource | None = None
    """Where the base model's files come from."""
    max_rank: int | None = None
    started: str = ""
    """When the process did, as in RFC 3339."""
    settled: bool
    """Whether everything that was declared at the start is served, or failed."""
    capacity: Capacity | None = None
    """Room for adapters; unset until the engine is there."""
    file: LocalFile | None = None
    """Unset when only the command line declares."""
    adapters: tuple[LocalAdapter, ...] = ()
    """In the order in which they were declared."""
