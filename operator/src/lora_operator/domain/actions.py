"""What a pass may do to the world. Each action carries the reason why, in words a user understands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from lora_api.runtime_api import Desired, DesiredPatch, ResolveRequest
from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain.memo import NOTHING, Memo


@dataclass(frozen=True, slots=True)
class ApplyChild:
    """Server-side apply one child object."""

    manifest: Mapping[str, Any]
    why: str
    version: str | None = None
    """The resourceVersion that it goes over, or else it is a conflict; None when there is no such object."""
    again: bool = False
    """What should be there already, in case somebody edited it; that changes nothing otherwise."""


@dataclass(frozen=True, slots=True)
class IssueCertificate:
    """Write the pods' certificate into the namespace's Secret, which is never read."""

    why: str
    again: bool = False
    """The one that should be there already, in case somebody deleted it."""


@dataclass(frozen=True, slots=True)
class WriteDesired:
    """Store the desired document in the ConfigMap, before any pod is told."""

    document: Desired
    why: str
    version: str | None = None
    """The resourceVersion that it goes over; None when there is no ConfigMap."""


@dataclass(frozen=True, slots=True)
class Patch:
    """What changes in one document."""

    base: str
    """Its etag."""
    patch: DesiredPatch


@dataclass(frozen=True, slots=True)
class PushDesired:
    """Tell one pod the desired document now."""

    pod: str
    ip: str
    document: Desired
    why: str
    patch: Patch | None = None
    """The same as what changes in the document that the pod works on, where that one is known."""


@dataclass(frozen=True, slots=True)
class ResolveSource:
    """Ask one pod to find, pin and check an adapter's source. The answer comes as a Resolution in a later look."""

    adapter_uid: str
    source_hash: str
    pod: str
    ip: str
    request: ResolveRequest
    attempt: int
    why: str


@dataclass(frozen=True, slots=True)
class Announcement:
    """A Kubernetes Event on the user's object. No action of its own: it tells of one that is done, or is refused."""

    kind: Literal["LoRAModel", "LoRAAdapter"]
    name: str
    uid: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class WriteModelStatus:
    """Server-side apply the LoRAModel's status, then tell of it."""

    status: LoRAModelStatus
    news: tuple[Announcement, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteAdapterStatus:
    """Server-side apply one LoRAAdapter's status, then tell of it."""

    name: str
    uid: str
    status: LoRAAdapterStatus
    news: tuple[Announcement, ...] = ()
    version: str = ""
    """The resourceVersion of the object that it was decided from."""


Action = (
    ApplyChild | IssueCertificate | WriteDesired | PushDesired | ResolveSource | WriteModelStatus | WriteAdapterStatus
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, in order, and when to look again although nothing rang."""

    actions: tuple[Action, ...]
    look_again_at: datetime | None = None
    """By the clock that never jumps."""
    wanted: Mapping[str, str] = field(default_factory=dict, compare=False)
    """For the record: the revision that every pod should serve for an adapter, by its UID; those that cannot be served are missing."""
    memo: Memo = field(default=NOTHING, compare=False, repr=False)
    """For the next pass over the model; no part of what was decided."""
    untold: Mapping[str, datetime] = field(default_factory=dict)
    """Objects whose status is out of date by steps on the way alone, by UID: until when they may be."""
