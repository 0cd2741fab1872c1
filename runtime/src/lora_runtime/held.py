"""One revision on its way through the pod."""

import math
from dataclasses import dataclass, field

from lora_api.runtime_api import RevisionReport, RevisionSpec, RevisionState
from lora_api.v1alpha1.adapter import Verify
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.engine.protocol import LoadedAdapter
from lora_runtime.retries import retry_delay
from lora_runtime.store.versions import Published
from lora_runtime.workshop import Progress

_TRIES_BEFORE_READY = 3
"""A pod that starts gives each adapter this many tries before it becomes ready without it."""


@dataclass(slots=True, eq=False)
class Held:
    """A revision that this pod has, or is getting.

    The same revision may be held twice: draining, and coming back.
    """

    spec: RevisionSpec
    state: RevisionState = RevisionState.FETCHING
    progress: Progress = field(default_factory=Progress)
    in_engine: bool = False
    """The engine is loading it now, which must not be interrupted."""
    loaded: LoadedAdapter | None = None
    reason: Reason | None = None
    message: str = ""
    note: str = ""
    """What its author should know, although nothing is wrong."""
    rank: int | None = None
    size_bytes: int | None = None
    host_bytes: int | None = None
    """What it takes in the engine's host cache."""
    energy: float | None = None
    trouble: str | None = None
    """Why the engine could not load it for a request, although it is in service."""
    unasked: tuple[Verify, str] | None = None
    """The golden output that it could not be held against, although it is in service, and why."""
    tries: int = 0
    """Failures in a row."""
    retry_at: float = 0.0
    """When to try again after a failure, in monotonic seconds; infinite for never."""

    def begin(self) -> None:
        """A preparation begins."""
        self.state, self.progress = RevisionState.FETCHING, Progress()

    def made(self, published: Published) -> None:
        """Its files are ready for the engine."""
        self.state = RevisionState.LOADING
        self.rank, self.size_bytes, self.energy = published.rank, published.size_bytes, published.energy
        self.note = published.note

    def prepared(self, loaded: LoadedAdapter, host_bytes: int) -> None:
        """It is in the engine, and invisible."""
        self.state, self.loaded, self.host_bytes = RevisionState.PREPARED, loaded, host_bytes
        self.reason, self.message, self.tries, self.retry_at = None, "", 0, 0.0

    def rechecked(self, spec: RevisionSpec, objection: str | None) -> None:
        """What is in service was held against another golden output; it stays in service."""
        self.spec, self.unasked, self.tries, self.retry_at = spec, None, 0, 0.0
        self.reason, self.message = (None, "") if objection is None else (Reason.VERIFY_FAILED, objection)

    def not_rechecked(self, verify: Verify, message: str, *, now: float) -> None:
        """What is in service could not be asked; `now` in monotonic seconds."""
        self.unasked = verify, f"it could not be held against spec.verify: {message}"
        self.tries += 1
        self.retry_at = now + retry_delay(self.tries)

    def asked_otherwise(self) -> None:
        """What could not be asked is not wanted any more."""
        self.unasked, self.tries, self.retry_at = None, 0, 0.0

    def failed(self, reason: Reason, message: str, *, retryable: bool, now: float) -> None:
        """A preparation failed; `now` in monotonic seconds."""
        self.state, self.reason, self.message = RevisionState.FAILED, reason, message
        self.tries += 1
        self.retry_at = now + (retry_delay(self.tries) * _spread(now) if retryable else math.inf)

    @property
    def given_up(self) -> bool:
        """Whether a pod that starts need not wait for it any longer."""
        return self.state is RevisionState.FAILED and (math.isinf(self.retry_at) or self.tries >= _TRIES_BEFORE_READY)

    def report(self) -> RevisionReport:
        """What the operator is told about it."""
        fetching = self.state is RevisionState.FETCHING
        if self.trouble is not None:
            # In service by name only: every request for it is refused.
            return RevisionReport(
                revision=self.spec.revision,
                state=RevisionState.FAILED,
                reason=Reason.LOAD_FAILED,
                message=f"the engine refused it when a request wanted it: {self.trouble}",
                rank=self.rank,
                size_bytes=self.size_bytes,
                host_bytes=self.host_bytes,
            )
        reason, message = self.reason, self.message or self.note
        if self.unasked is not None and self.state is RevisionState.SERVING:
            reason, message = Reason.LOAD_FAILED, self.unasked[1]
        return RevisionReport(
            revision=self.spec.revision,
            state=self.state,
            reason=reason,
            message=message,
            rank=self.rank,
            energy=self.energy,
            size_bytes=self.size_bytes,
            host_bytes=self.host_bytes,
            bytes_done=self.progress.done if fetching else None,
            bytes_total=self.progress.total if fetching else None,
        )


def _spread(now: float) -> float:
    """A factor from 0.75 to 1.25: pods that a hub has failed together must not come back to it together.

    What is below a millisecond in the time of a failure is as good as dice.
    """
    return 0.75 + 0.5 * (now * 1000 % 1)
