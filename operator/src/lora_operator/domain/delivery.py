"""How far the pods are with one adapter: the conditions `Available` and `Ready`, and who holds them back."""

from dataclasses import dataclass
from datetime import datetime

from lora_api.runtime_api import RevisionState
from lora_api.v1alpha1.adapter import PodFailure
from lora_api.v1alpha1.common import ConditionStatus
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_operator.domain import conditions
from lora_operator.domain.conditions import Verdict
from lora_operator.domain.observed import Unreachable
from lora_operator.domain.replicas import Replica

_NAMED = 5
"""So many pods are named; the counts tell of the others."""
_FAILURE_MESSAGE = 1024
_NO_ROOM = (Reason.OUT_OF_MEMORY, Reason.STORE_FULL)
"""Why loading failed, where it is somebody else's to mend than what the engine refuses."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why one serving pod does not serve the wanted revision."""

    pod: str
    reason: Reason
    """VERIFY_FAILED, OUT_OF_MEMORY, STORE_FULL, LOAD_FAILED, POD_UNREACHABLE or LOADING."""
    cause: Reason
    """The same, or why loading failed."""
    message: str
    prepared: bool = False
    """It has the revision in its engine, and is held back by others only."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One adapter as the serving pods report it, against the revision that is wanted."""

    wanted: str | None
    """The revision of this generation; None when there is none."""
    held_at: datetime | None
    """When an update that waits for pods counts as held back; None when none waits."""
    timeout_seconds: int
    """The time its author gave it."""
    available: int
    """Serving pods that serve some revision of this object."""
    updated: int
    """Serving pods that serve the wanted one."""
    obstacles: tuple[Obstacle, ...]
    """One for each serving pod that stands in the way, by name of the pod; empty while nothing is wanted."""
    serving_pods: int
    desired_pods: int
    now: datetime
    note: str = ""
    """What pods that serve it have to say, although nothing is wrong."""

    @property
    def _held(self) -> bool:
        return self.held_at is not None and self.now >= self.held_at

    def failures(self) -> tuple[PodFailure, ...]:
        """The first pods, by name, that stand between the adapter and Ready and are not merely busy."""
        blamed = (
            PodFailure(
                pod=obstacle.pod,
                reason=Reason.UPDATE_HELD if obstacle.reason is Reason.LOADING else obstacle.cause,
                message=conditions.cut(obstacle.message, _FAILURE_MESSAGE),
            )
            for obstacle in self.obstacles
            if obstacle.reason is not Reason.LOADING or (self._held and not obstacle.prepared)
        )
        return tuple(blamed)[:_NAMED]

    def available_verdict(self) -> Verdict:
        """The condition `Available`."""
        if self.available:
            message = f"{self.available} of {self.desired_pods} pods serve it"
            return Verdict(AdapterCondition.AVAILABLE, ConditionStatus.TRUE, Reason.SERVING, message)
        reason, message = (Reason.LOADING, "no pod serves it yet") if self.serving_pods else self._no_ready_pods()
        return Verdict(AdapterCondition.AVAILABLE, ConditionStatus.FALSE, reason, message)

    def ready_verdict(self) -> Verdict:
        """The condition `Ready`, for an adapter that passed every earlier step."""
        if not self.obstacles and self.updated == self.serving_pods and self.updated >= self.desired_pods > 0:
            message = f"revision {self.wanted} is served by {self.updated}/{self.desired_pods} pods"
            message = f"{message}; {self.note}" if self.note else message
            return Verdict(AdapterCondition.READY, ConditionStatus.TRUE, Reason.SERVING, message)
        reason, message = self._first_obstacle()
        return Verdict(AdapterCondition.READY, ConditionStatus.FALSE, reason, message)

    def _first_obstacle(self) -> tuple[Reason, str]:
        for reason in (Reason.VERIFY_FAILED, *_NO_ROOM, Reason.LOAD_FAILED, Reason.POD_UNREACHABLE):
            if any(obstacle.reason is reason for obstacle in self.obstacles):
                return reason, self._words(reason)
        if self._held:
            return Reason.UPDATE_HELD, (
                f"the update to revision {self.wanted} is held back after {self.timeout_seconds} s, the old "
                f"revision is served on: {self._words(Reason.LOADING)}"
            )
        if not self.serving_pods:
            return self._no_ready_pods()
        progress = f"{self.updated} of {self.desired_pods} pods serve revision {self.wanted}"
        if self.available > self.updated:
            progress += "; an earlier revision is served meanwhile"
        if self.serving_pods < self.desired_pods:
            progress += f"; only {self.serving_pods} {'is' if self.serving_pods == 1 else 'are'} ready"
        return Reason.LOADING, "; ".join(filter(None, (progress, self._words(Reason.LOADING))))

    def _words(self, reason: Reason) -> str:
        late = [obstacle for obstacle in self.obstacles if obstacle.reason is reason and not obstacle.prepared]
        said = [obstacle.message for obstacle in late[:_NAMED]]
        if len(late) > _NAMED:
            said.append(f"and {len(late) - _NAMED} more")
        return "; ".join(said)

    def _no_ready_pods(self) -> tuple[Reason, str]:
        if self.desired_pods == 0:
            return Reason.NO_READY_PODS, "the model is scaled to zero"
        if self.desired_pods == 1:
            return Reason.NO_READY_PODS, "the model's only pod is not ready"
        return Reason.NO_READY_PODS, f"none of the model's {self.desired_pods} pods is ready"


def obstacle(replica: Replica, served_name: str, uid: str, wanted: str) -> Obstacle | None:
    """Why a serving pod does not serve the wanted revision; None when it does."""
    if isinstance(replica.said, Unreachable):
        message = f"pod {replica.name} does not answer: {replica.said.message}"
        return Obstacle(replica.name, Reason.POD_UNREACHABLE, Reason.POD_UNREACHABLE, message)
    report = replica.report(served_name, wanted)
    if (
        report is not None
        and report.reason is not None
        and (report.state is RevisionState.SERVING or report.reason is Reason.VERIFY_FAILED)
    ):
        return Obstacle(replica.name, report.reason, report.reason, f"pod {replica.name}: {report.message}")
    if replica.serving(served_name, uid) == wanted:
        return None
    if report is None or report.state is RevisionState.SERVING:
        message = f"pod {replica.name} has not begun"
        if replica.refusal is not None:
            message = f"pod {replica.name} does not understand what it is told: {replica.refusal}"
        return Obstacle(replica.name, Reason.LOADING, Reason.LOADING, message)
    if report.state is RevisionState.FAILED:
        cause = report.reason or Reason.LOAD_FAILED
        message = f"pod {replica.name} cannot load it: {cause}: {report.message}"
        reason = cause if cause in _NO_ROOM else Reason.LOAD_FAILED
        return Obstacle(replica.name, reason, cause, message)
    message = f"pod {replica.name} has it {report.state}"
    prepared = report.state is RevisionState.PREPARED
    return Obstacle(replica.name, Reason.LOADING, Reason.LOADING, message, prepared)
