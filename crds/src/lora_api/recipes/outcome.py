"""What is concluded about one LoRAAdapter's wish, by the operator or by a runtime without one."""

from dataclasses import dataclass

from lora_api.runtime_api import RevisionSpec
from lora_api.v1alpha1.conditions import AdapterCondition, Reason


@dataclass(frozen=True, slots=True)
class Rejected:
    """The object makes no sense as it stands; something must be edited or created first."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """The object makes sense, but there is nothing to serve for it yet, or nothing that could be served."""

    condition: AdapterCondition
    """FETCHED or COMPATIBLE: the step it does not pass."""
    reason: Reason
    message: str
    waiting: bool = False
    """True while nothing is known to be wrong; the condition is Unknown then, not False."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The revision that every pod should serve."""

    spec: RevisionSpec
    rank: int
    size_bytes: int
    """Bytes of the files of all parts."""


Outcome = Rejected | Blocked | Wanted
