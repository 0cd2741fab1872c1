"""What an error of the Hugging Face client means, and what to do about it."""

from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RevisionNotFoundError,
)

from lora_api.v1alpha1.common import HuggingFaceSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused, not_fetched

HUB_ERRORS: tuple[type[Exception], ...] = (
    *(HTTPError, HFValidationError, ConnectionError, TimeoutError),
    *(ValueError, KeyError, TypeError),  # an answer that is not a hub's, such as a proxy's login page
)
"""All that the client raises because of the hub, the network, or what it was asked for."""

_SHOWN_AT_MOST = 300

_FORBIDDEN_STATUSES = (401, 403)


def explain(error: Exception, source: HuggingFaceSource, endpoint: str, remedy: str) -> Refused:
    """Reads one of `HUB_ERRORS`.

    Args:
        error: What the client raised.
        source: What it was asked for.
        endpoint: The hub's URL.
        remedy: What to do when the hub wants (other) credentials.
    """
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, RevisionNotFoundError):
        return not_fetched(
            Reason.SOURCE_NOT_FOUND,
            f"{source.repo} on {endpoint} has no revision {source.revision}; name one of its branches, tags or commits",
            retryable=True,
        )
    if isinstance(error, RemoteEntryNotFoundError):
        return not_fetched(
            Reason.SOURCE_NOT_FOUND,
            f"a file of {source.repo}@{source.revision} vanished from {endpoint}: {_line(error)}",
            retryable=True,
        )
    if status in _FORBIDDEN_STATUSES:
        return not_fetched(
            Reason.UNAUTHORIZED,
            f"{endpoint} answers {status} for {source.repo}: it is private or gated, or does not exist (the hub does "
            f"not tell which); {remedy}",
            retryable=True,
        )
    if status == 404:
        return not_fetched(
            Reason.SOURCE_NOT_FOUND,
            f"{endpoint} has no repository {source.repo}, or hides it from this token; check source.huggingFace.repo",
            retryable=True,
        )
    if isinstance(error, HFValidationError):
        return not_fetched(Reason.SOURCE_NOT_FOUND, f"{source.repo} is not a repository name: {error}", retryable=False)
    if isinstance(error, OfflineModeIsEnabled):
        return not_fetched(
            Reason.SOURCE_UNREACHABLE,
            "the pod runs with HF_HUB_OFFLINE=1, so that nothing can be fetched from a hub; unset it in "
            "spec.podTemplate, or use source.volume",
            retryable=True,
        )
    if isinstance(error, (ValueError, KeyError, TypeError)):
        return not_fetched(
            Reason.SOURCE_UNREACHABLE,
            f"{endpoint} does not answer as a Hugging Face Hub does ({_line(error)}); check proxy settings and HF_ENDPOINT",
            retryable=True,
        )
    if status is not None:
        return not_fetched(
            Reason.SOURCE_UNREACHABLE,
            f"{endpoint} answers {status} for {source.repo}; it is tried again",
            retryable=True,
        )
    return not_fetched(
        Reason.SOURCE_UNREACHABLE,
        f"{endpoint} cannot be reached from the pod ({_line(error)}); it is tried again. Check the network policy, "
        f"proxy settings and HF_ENDPOINT",
        retryable=True,
    )


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:_SHOWN_AT_MOST]
