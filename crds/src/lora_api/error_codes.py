"""What went wrong, in one stable word: for exit statuses, answers over HTTP, and whoever reads conditions."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from lora_api.v1alpha1.conditions import Reason


class ErrorCode(StrEnum):
    """Chosen by what can be done about it; a reason says it more precisely."""

    NOT_FOUND = "NotFound"
    """An object, a name, a source or a revision does not exist."""
    UNAUTHORIZED = "Unauthorized"
    """Credentials are missing, wrong, or not enough."""
    FORBIDDEN = "Forbidden"
    """An administrator's rule stands against it."""
    INVALID = "Invalid"
    """The object contradicts itself or its schema."""
    CONFLICT = "Conflict"
    """Something else has the name, or was changed meanwhile."""
    INCOMPATIBLE = "Incompatible"
    """The files do not fit the base model, or are no adapter that can be served."""
    LOAD_FAILED = "LoadFailed"
    """Files that fit could not be brought into the engine, or do not answer as they must."""
    OUT_OF_MEMORY = "OutOfMemory"
    """There is no room: in memory, on the device, or on disk."""
    UNREACHABLE = "Unreachable"
    """Somebody who was asked does not answer."""
    NOT_READY = "NotReady"
    """It may be soon, by itself."""


_REASONS: dict[ErrorCode, tuple[Reason, ...]] = {
    ErrorCode.NOT_FOUND: (Reason.MODEL_NOT_FOUND, Reason.MEMBER_NOT_FOUND, Reason.SOURCE_NOT_FOUND),
    ErrorCode.UNAUTHORIZED: (Reason.UNAUTHORIZED, Reason.CREDENTIALS_NOT_MOUNTED),
    ErrorCode.FORBIDDEN: (Reason.SOURCE_FORBIDDEN,),
    ErrorCode.INVALID: (
        Reason.BLEND_CYCLE,
        Reason.VOLUME_NOT_MOUNTED,
        Reason.INVALID_NAME,
        Reason.INVALID_POD_TEMPLATE,
    ),
    ErrorCode.CONFLICT: (Reason.NAME_CONFLICT, Reason.DIGEST_MISMATCH),
    ErrorCode.INCOMPATIBLE: (
        Reason.RANK_TOO_LARGE,
        Reason.SHAPE_MISMATCH,
        Reason.UNKNOWN_MODULES,
        Reason.UNSUPPORTED_FEATURE,
        Reason.MALFORMED_ADAPTER,
        Reason.UNSAFE_FORMAT,
        Reason.BASE_MODEL_MISMATCH,
        Reason.SOURCE_TOO_LARGE,
    ),
    ErrorCode.LOAD_FAILED: (
        Reason.LOAD_FAILED,
        Reason.VERIFY_FAILED,
        Reason.ENGINE_CRASHING,
        Reason.IMAGE_PULL_FAILED,
        Reason.POD_FAILED,
    ),
    ErrorCode.OUT_OF_MEMORY: (Reason.OUT_OF_MEMORY, Reason.STORE_FULL, Reason.UNSCHEDULABLE),
    ErrorCode.UNREACHABLE: (Reason.SOURCE_UNREACHABLE, Reason.POD_UNREACHABLE),
    ErrorCode.NOT_READY: (
        Reason.PENDING,
        Reason.FETCHING,
        Reason.MODEL_NOT_AVAILABLE,
        Reason.MEMBER_NOT_READY,
        Reason.LOADING,
        Reason.UPDATE_HELD,
        Reason.NO_READY_PODS,
        Reason.SCALED_TO_ZERO,
        Reason.ROLLING_OUT,
        Reason.MODEL_LOADING,
    ),
}

OF_REASON: Mapping[str, ErrorCode] = MappingProxyType(
    {reason.value: code for code, reasons in _REASONS.items() for reason in reasons}
)
"""The code of each reason that stands in the way of something."""


def code_of(reason: str) -> ErrorCode:
    """The code of a condition's reason; one that a newer operator writes may pass."""
    return OF_REASON.get(reason, ErrorCode.NOT_READY)
