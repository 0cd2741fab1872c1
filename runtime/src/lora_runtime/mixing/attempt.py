"""The mixture that is wanted, and how far it has come."""

from dataclasses import dataclass, field

from lora_api.mixture_api import MixtureReport, MixtureSpec, MixtureState
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.mixing.making import Made
from lora_runtime.retries import retry_delay
from lora_runtime.workshop import Progress

_AT_REST = (MixtureState.SERVING, MixtureState.NEEDS_RESTART)


@dataclass(slots=True)
class Attempt:
    """One of them."""

    spec: MixtureSpec
    state: MixtureState = MixtureState.FETCHING
    made: Made | None = None
    progress: Progress = field(default_factory=Progress)
    reason: Reason | None = None
    message: str = ""
    retry_at: float | None = None
    """In monotonic seconds; of a failure that may come right by itself."""
    _tries: int = 0

    def due(self, now: float) -> bool:
        """Whether there is something to do for it."""
        if self.state is MixtureState.FAILED:
            return self.retry_at is not None and self.retry_at <= now
        return self.state not in _AT_REST

    def to(self, state: MixtureState, message: str = "") -> None:
        """It has come to another state."""
        self.state, self.reason, self.message, self.retry_at = state, None, message, None

    def failed(self, reason: Reason, message: str, now: float, *, retryable: bool, pause_seconds: float = 0.0) -> None:
        """It has not, and why.

        Args:
            reason: In a word.
            message: What, where, and what to do.
            now: In monotonic seconds.
            retryable: Whether it may come right although nobody changes the document.
            pause_seconds: The least time until it is tried again.
        """
        self._tries += 1
        self.state, self.reason, self.message = MixtureState.FAILED, reason, message
        self.retry_at = now + max(pause_seconds, retry_delay(self._tries)) if retryable else None

    def report(self, serving: str | None) -> MixtureReport:
        """What is told of it, beside the revision that answers now."""
        made, fetching = self.made, self.state is MixtureState.FETCHING
        return MixtureReport(
            revision=self.spec.revision,
            state=self.state,
            reason=self.reason,
            message=self.message,
            serving=serving,
            source=None if made is None else made.source,
            digest=None if made is None else made.digest,
            experts=() if made is None else made.experts,
            layers=None if made is None else len(made.shape.layers),
            trained=None if made is None else made.trained,
            bytes_done=self.progress.done if fetching else None,
            bytes_total=self.progress.total if fetching else None,
        )
