"""Condition types and reasons of both kinds; the reference lists each one."""

from enum import StrEnum


class AdapterCondition(StrEnum):
    """Condition types of a LoRAAdapter, in the order in which an adapter passes them."""

    ACCEPTED = "Accepted"
    """The object makes sense: its model, members, credentials and volumes exist and its name is free."""
    FETCHED = "Fetched"
    """Its files were found and pinned to a digest."""
    COMPATIBLE = "Compatible"
    """Its tensors fit the base model and the model's limits."""
    AVAILABLE = "Available"
    """At least one ready pod serves *some* revision of it; an update that fails leaves this True."""
    READY = "Ready"
    """Every wanted pod serves the revision of this generation. When False, it repeats the first failing reason."""


class ModelCondition(StrEnum):
    """Condition types of a LoRAModel."""

    ACCEPTED = "Accepted"
    """The object makes sense and the operator acts on it."""
    AVAILABLE = "Available"
    """At least one pod serves."""
    READY = "Ready"
    """All wanted pods run the wanted template and serve."""


class Reason(StrEnum):
    """Reasons on conditions of both kinds."""

    # True
    ACCEPTED = "Accepted"
    RESOLVED = "Resolved"
    VALIDATED = "Validated"
    SERVING = "Serving"

    # Unknown
    PENDING = "Pending"

    # LoRAAdapter, Accepted
    MODEL_NOT_FOUND = "ModelNotFound"
    NAME_CONFLICT = "NameConflict"
    MEMBER_NOT_FOUND = "MemberNotFound"
    BLEND_CYCLE = "BlendCycle"
    CREDENTIALS_NOT_MOUNTED = "CredentialsNotMounted"
    VOLUME_NOT_MOUNTED = "VolumeNotMounted"
    SOURCE_FORBIDDEN = "SourceForbidden"
    MODEL_IS_MIXTURE = "ModelIsMixture"

    # LoRAAdapter, Fetched
    FETCHING = "Fetching"
    SOURCE_NOT_FOUND = "SourceNotFound"
    UNAUTHORIZED = "Unauthorized"
    DIGEST_MISMATCH = "DigestMismatch"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    SOURCE_TOO_LARGE = "SourceTooLarge"
    STORE_FULL = "StoreFull"
    MODEL_NOT_AVAILABLE = "ModelNotAvailable"
    MEMBER_NOT_READY = "MemberNotReady"

    # LoRAAdapter, Compatible
    RANK_TOO_LARGE = "RankTooLarge"
    SHAPE_MISMATCH = "ShapeMismatch"
    UNKNOWN_MODULES = "UnknownModules"
    UNSUPPORTED_FEATURE = "UnsupportedFeature"
    MALFORMED_ADAPTER = "MalformedAdapter"
    UNSAFE_FORMAT = "UnsafeFormat"
    BASE_MODEL_MISMATCH = "BaseModelMismatch"

    # LoRAAdapter, Available and Ready
    LOADING = "Loading"
    LOAD_FAILED = "LoadFailed"
    VERIFY_FAILED = "VerifyFailed"
    POD_UNREACHABLE = "PodUnreachable"
    UPDATE_HELD = "UpdateHeld"
    NO_READY_PODS = "NoReadyPods"

    # LoRAModel
    INVALID_NAME = "InvalidName"
    INVALID_POD_TEMPLATE = "InvalidPodTemplate"
    SCALED_TO_ZERO = "ScaledToZero"
    ROLLING_OUT = "RollingOut"
    MODEL_LOADING = "ModelLoading"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    ENGINE_CRASHING = "EngineCrashing"
    OUT_OF_MEMORY = "OutOfMemory"
    POD_FAILED = "PodFailed"
