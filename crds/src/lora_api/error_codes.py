"""What went wrong, in one stable word: for exit statuses, answers over HTTP, and whoever reads conditions.

docs/reference/errors.md is made of what stands here.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from lora_api.v1alpha1.conditions import Reason


class ErrorCode(StrEnum):
    """Chosen by what can be done about it; a reason says it more precisely."""

    NOT_FOUND = "NotFound"
    UNAUTHORIZED = "Unauthorized"
    FORBIDDEN = "Forbidden"
    INVALID = "Invalid"
    CONFLICT = "Conflict"
    INCOMPATIBLE = "Incompatible"
    LOAD_FAILED = "LoadFailed"
    OUT_OF_MEMORY = "OutOfMemory"
    UNREACHABLE = "Unreachable"
    NOT_READY = "NotReady"


MEANINGS: Mapping[ErrorCode, str] = MappingProxyType(
    {
        ErrorCode.NOT_FOUND: "An object, a name, a source or a revision does not exist.",
        ErrorCode.UNAUTHORIZED: "Credentials are missing, wrong, or not enough.",
        ErrorCode.FORBIDDEN: "An administrator's rule stands against it.",
        ErrorCode.INVALID: "The object contradicts itself or its schema.",
        ErrorCode.CONFLICT: "Something else has the name, or was changed meanwhile.",
        ErrorCode.INCOMPATIBLE: "The files do not fit the base model, or are no adapter that can be served.",
        ErrorCode.LOAD_FAILED: "Files that fit could not be brought into the engine, or do not answer as they must.",
        ErrorCode.OUT_OF_MEMORY: "There is no room: in memory, on the device, or on disk.",
        ErrorCode.UNREACHABLE: "Somebody who was asked does not answer.",
        ErrorCode.NOT_READY: "It may be soon, by itself.",
    }
)

HTTP_STATUS: Mapping[ErrorCode, int] = MappingProxyType(
    {
        ErrorCode.NOT_FOUND: 404,
        ErrorCode.UNAUTHORIZED: 401,
        ErrorCode.FORBIDDEN: 403,
        ErrorCode.INVALID: 400,
        ErrorCode.CONFLICT: 409,
        ErrorCode.INCOMPATIBLE: 422,
        ErrorCode.LOAD_FAILED: 503,
        ErrorCode.OUT_OF_MEMORY: 503,
        ErrorCode.UNREACHABLE: 503,
        ErrorCode.NOT_READY: 503,
    }
)
"""What a request is answered with that is refused for it. 503 comes with `Retry-After`: asking again can help."""

OPENAI_TYPE: Mapping[ErrorCode, str] = MappingProxyType(
    {
        ErrorCode.NOT_FOUND: "NotFoundError",
        ErrorCode.UNAUTHORIZED: "AuthenticationError",
        ErrorCode.FORBIDDEN: "PermissionDeniedError",
        ErrorCode.INVALID: "BadRequestError",
        ErrorCode.CONFLICT: "ConflictError",
        ErrorCode.INCOMPATIBLE: "UnprocessableEntityError",
        ErrorCode.LOAD_FAILED: "ServiceUnavailableError",
        ErrorCode.OUT_OF_MEMORY: "ServiceUnavailableError",
        ErrorCode.UNREACHABLE: "ServiceUnavailableError",
        ErrorCode.NOT_READY: "ServiceUnavailableError",
    }
)
"""The field `type` of an error, as the classes of OpenAI's own clients are called."""

_OF_STATUS = {
    401: ErrorCode.UNAUTHORIZED, 403: ErrorCode.FORBIDDEN, 404: ErrorCode.NOT_FOUND, 409: ErrorCode.CONFLICT,
    412: ErrorCode.CONFLICT, 429: ErrorCode.NOT_READY, 503: ErrorCode.NOT_READY,
}  # fmt: skip


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
        Reason.MODEL_IS_MIXTURE,
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


def code_of_status(status: int) -> ErrorCode | None:
    """The code of an HTTP status that somebody answers who knows no codes; None for a fault of the server itself."""
    return _OF_STATUS.get(status) or (ErrorCode.INVALID if 400 <= status < 500 else None)
