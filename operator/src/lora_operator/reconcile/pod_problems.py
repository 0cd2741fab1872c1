"""Why Kubernetes cannot run a pod, read from the pod's own status."""

from collections.abc import Iterable, Mapping
from typing import Any

from lora_api.v1alpha1.conditions import Reason
from lora_operator.domain import conditions
from lora_operator.domain.observed import PodProblem
from lora_operator.domain.render.pod import CONTAINER

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
_HARMLESS = frozenset({"ContainerCreating", "PodInitializing"})
_LONGEST_MESSAGE = 1024
_LAST_WORDS = 600


def pod_problem(pod: Mapping[str, Any]) -> PodProblem | None:
    """What keeps the pod from running, or None."""
    return _first(map(_of_container, _containers(pod))) or _unscheduled(pod.get("status") or {})


def last_crash(pod: Mapping[str, Any]) -> PodProblem | None:
    """How a container ended that runs again and has not started yet, or None."""
    return _first(map(_before_it_ran_again, _containers(pod)))


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _of_container(container: Mapping[str, Any]) -> PodProblem | None:
    name = container["name"]
    waiting = (container.get("state") or {}).get("waiting") or {}
    # A container that runs again after a crash is well, however it ended before.
    ended = (container.get("state") or {}).get("terminated") or (
        (container.get("lastState") or {}).get("terminated") if waiting else None
    )
    reason = waiting.get("reason", "")
    if ended and (ended.get("exitCode") or reason == "CrashLoopBackOff"):
        return _crash(name, ended, container.get("restartCount", 0))
    if not reason or reason in _HARMLESS:
        return None
    kind = Reason.IMAGE_PULL_FAILED if reason in _IMAGE else Reason.POD_FAILED
    if reason == "CrashLoopBackOff":
        kind = Reason.ENGINE_CRASHING
    return _problem(kind, f"container {name}: {reason}: {waiting.get('message') or 'no message'}")


def _before_it_ran_again(container: Mapping[str, Any]) -> PodProblem | None:
    ended = (container.get("lastState") or {}).get("terminated") or {}
    # How it ended stays there for good: once it has started, that explains nothing any more.
    if not ended or "running" not in (container.get("state") or {}) or container.get("started"):
        return None
    return _crash(container["name"], ended, container.get("restartCount", 0))


def _crash(name: str, ended: Mapping[str, Any], restarts: int) -> PodProblem:
    if ended.get("reason") == "OOMKilled":
        return _problem(
            Reason.OUT_OF_MEMORY,
            f"container {name} was killed for using more memory than its limit (restarts: {restarts}); raise "
            "spec.resources, or lower spec.adapters or spec.engine.maxModelLen",
        )
    words = f"exit code {ended['exitCode']}"
    if name == CONTAINER and not ended["exitCode"]:
        words += (
            ", as if it had been told to end: by the kubelet, say, after a failed liveness probe (kubectl describe pod)"
        )
    if ended.get("message"):
        words += f": {_last_words(ended['message'])}"
    return _problem(Reason.ENGINE_CRASHING, f"container {name} ended with {words} (restarts: {restarts})")


def _last_words(log: str) -> str:
    """The end of a log, in one line: what was wrong comes last there."""
    words = " | ".join(line.strip() for line in log.splitlines() if line.strip())
    return words if len(words) <= _LAST_WORDS else "…" + words[1 - _LAST_WORDS :]


def _unscheduled(status: Mapping[str, Any]) -> PodProblem | None:
    for condition in status.get("conditions") or ():
        if (
            condition.get("type") == "PodScheduled"
            and condition.get("status") == "False"
            and condition.get("reason") == "Unschedulable"
        ):
            return _problem(Reason.UNSCHEDULABLE, condition.get("message") or "no node fits the pod")
    return None


def _first(problems: Iterable[PodProblem | None]) -> PodProblem | None:
    return next((problem for problem in problems if problem is not None), None)


def _problem(reason: Reason, message: str) -> PodProblem:
    return PodProblem(reason=reason, message=conditions.cut(message, _LONGEST_MESSAGE))
