"""Where a command works: what to call it, and what to type there next. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from lora_api.error_codes import ErrorCode, code_of
from lora_api.v1alpha1.conditions import Reason
from lora_cli.domain.advice import NOT_SEEN, Advice, advice_for
from lora_cli.domain.subject import Subject


class Place(Protocol):
    """A namespace of a cluster, or a server."""

    def advice(self, reason: str | None, about: Subject) -> tuple[str, str]:
        """What a reason means to who has to act, and the command to type; None for an edit that was not seen yet."""
        ...

    def typed(self, command: str, namespace: str) -> str:
        """A command of this program as it is to be typed to work there."""
        ...

    def answered(self, revision: str | None, took: str) -> str:
        """That a change is served, and how long it took, in words."""
        ...


class InACluster:
    """Advice for objects of an API server."""

    def advice(self, reason: str | None, about: Subject) -> tuple[str, str]:
        """See Place."""
        found = NOT_SEEN if reason is None else advice_for(reason, about)
        return found.meaning, found.command_for(about)

    def typed(self, command: str, namespace: str) -> str:
        """See Place."""
        return f"kubectl lora {command} -n {namespace}"

    def answered(self, revision: str | None, took: str) -> str:
        """See Place."""
        return f"every pod answers with {revision}, {took} after the change"


CLUSTER = InACluster()


@dataclass(frozen=True, slots=True)
class AtAServer:
    """Advice for adapters of a server without a cluster."""

    url: str

    def advice(self, reason: str | None, about: Subject) -> tuple[str, str]:
        """See Place."""
        found = _BY_REASON.get(reason or "") or _BY_CODE[code_of(reason or Reason.PENDING)]
        if about.in_volume and reason == Reason.UNAUTHORIZED:
            found = _UNREADABLE
        return found.meaning, f"{found.command_for(about)} --server {self.url}"

    def typed(self, command: str, namespace: str) -> str:
        """See Place; a server has no namespaces."""
        return f"lora {command} --server {self.url}"

    def answered(self, revision: str | None, took: str) -> str:
        """See Place; a server is looked at again and again, and tells nothing by itself."""
        return f"the server answers with {revision}, at most {took} after the change"


_LOOK = "lora describe {name}"
_LIST = "lora status"
_OTHER = "lora add {name} --replace --from PLACE"
_REMOVE = "lora rm {name}"
_CHANGE = "What a file declares is changed in the file."

_BY_CODE: Mapping[ErrorCode, Advice] = MappingProxyType(
    {
        ErrorCode.NOT_FOUND: Advice(f"Correct what is named. {_CHANGE}", _OTHER),
        ErrorCode.UNAUTHORIZED: Advice(
            "Give the server's process HF_TOKEN, or --credentials NAME=FOLDER and the name to the adapter.", _LOOK
        ),
        ErrorCode.FORBIDDEN: Advice("LORA_EGRESS of the server's process does not allow this place.", _OTHER),
        ErrorCode.INVALID: Advice(f"Correct it. {_CHANGE}", _LIST),
        ErrorCode.CONFLICT: Advice(f"Give it another name, or remove the other one. {_CHANGE}", _LIST),
        ErrorCode.INCOMPATIBLE: Advice("It does not fit the base model: remove it, or train it on this one.", _REMOVE),
        ErrorCode.LOAD_FAILED: Advice(
            "The engine refused files that fit; it is tried again. The server's log says more.", _LOOK
        ),
        ErrorCode.OUT_OF_MEMORY: Advice("Make room, or remove adapters.", "lora memory"),
        ErrorCode.UNREACHABLE: Advice("It is tried again by itself.", _LOOK),
        ErrorCode.NOT_READY: Advice("Wait.", _LOOK),
    }
)
_UNREADABLE = Advice("The server's process may not read the files: make them readable for the user it runs as.", _LOOK)
_BY_REASON: Mapping[str, Advice] = MappingProxyType(
    {
        Reason.RANK_TOO_LARGE: Advice(
            "Start the server with a larger --max-rank, or give a blend the method SVD.", _REMOVE
        ),
        Reason.DIGEST_MISMATCH: Advice("The files are not those that were pinned. Find out who changed them.", _OTHER),
        Reason.VOLUME_NOT_MOUNTED: Advice("Start the server with --volume NAME=FOLDER.", _LOOK),
        Reason.VERIFY_FAILED: Advice("It does not answer spec.verify.prompt as it must. Correct either.", _LOOK),
    }
)
