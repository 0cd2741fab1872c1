"""What a runtime without a cluster tells of its adapters, on its serving port.

GET /lora/v1/adapters     what is declared, what is served of it, and why the rest is not
"""

from lora_api.runtime_api import AdapterFacts, AdapterReport, WireModel
from lora_api.v1alpha1.adapter import LoRAAdapterSpec
from lora_api.v1alpha1.conditions import Reason

ADAPTERS_PATH = "/lora/v1/adapters"


class LocalFile(WireModel):
    """The file with the adapters."""

    path: str
    problem: str | None = None
    """Why its present content is not worked on; what it held before is."""


class LocalAdapter(WireModel):
    """One declared adapter."""

    name: str
    """Of the object; the served name where a command line declared it."""
    served_name: str
    spec: LoRAAdapterSpec
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


class LocalState(WireModel):
    """Everything that is declared."""

    base: str
    """What clients call the base model."""
    settled: bool
    """Whether everything that was declared at the start is served, or failed."""
    file: LocalFile | None = None
    """Unset when only the command line declares."""
    adapters: tuple[LocalAdapter, ...] = ()
    """In the order in which they were declared."""
