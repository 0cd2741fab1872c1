"""A LoRAModel's status: what its Deployment, its pods and its adapters come to."""

from dataclasses import dataclass
from datetime import datetime

from lora_api import labels
from lora_api.recipes.outcome import Rejected
from lora_api.v1alpha1.common import ConditionStatus
from lora_api.v1alpha1.conditions import ModelCondition, Reason
from lora_api.v1alpha1.model import LoRAModelStatus, ModelSummary
from lora_operator.domain import conditions, memory, mixture_status, render
from lora_operator.domain.conditions import Verdict
from lora_operator.domain.mixture_status import MixtureDelivery
from lora_operator.domain.observed import ObservedDeployment, ObservedModel, ObservedPod

_GRAVEST_FIRST = (
    Reason.OUT_OF_MEMORY,
    Reason.ENGINE_CRASHING,
    Reason.IMAGE_PULL_FAILED,
    Reason.UNSCHEDULABLE,
    Reason.POD_FAILED,
)


@dataclass(frozen=True, slots=True)
class Rollout:
    """What the status of a model is made from."""

    model: ObservedModel
    rejected: Rejected | None
    deployment: ObservedDeployment | None
    pods: tuple[ObservedPod, ...]
    up_to_date: bool
    """The Deployment in the cluster is the one that this generation asks for."""
    adapters: int = 0
    """LoRAAdapters that name the model."""
    ready_adapters: int = 0
    mixture: MixtureDelivery | None = None
    """Of an X-LoRA."""


def status_of(rollout: Rollout, now: datetime) -> LoRAModelStatus:
    """The status to store."""
    model, deployment = rollout.model, rollout.deployment
    ready_replicas = 0 if deployment is None else deployment.ready
    mixture = None if rollout.mixture is None else rollout.mixture.status()
    verdicts = (_accepted(rollout), _available(rollout), _ready(rollout))
    return LoRAModelStatus(
        conditions=conditions.with_verdicts(model.status.conditions, verdicts, model.meta.generation, now),
        observed_generation=model.meta.generation,
        replicas=0 if deployment is None else deployment.replicas,
        ready_replicas=ready_replicas,
        selector=",".join(f"{key}={value}" for key, value in labels.selector(model.meta.name).items()),
        adapters=rollout.adapters,
        ready_adapters=rollout.ready_adapters,
        capacity=memory.of_model(rollout.pods),
        mixture=mixture,
        url=f"http://{model.meta.name}.{model.meta.namespace}.svc:{render.SERVING_PORT}/v1",
        summary=ModelSummary(
            source=conditions.cut(model.spec.source.describe(), 1024),
            replicas=f"{ready_replicas}/{model.spec.replicas}",
            adapters=f"{rollout.ready_adapters}/{rollout.adapters}",
            mixture="" if mixture is None else mixture_status.summary(mixture),
        ),
    )


def _accepted(rollout: Rollout) -> Verdict:
    if rollout.rejected is not None:
        rejected = rollout.rejected
        return Verdict(ModelCondition.ACCEPTED, ConditionStatus.FALSE, rejected.reason, rejected.message)
    message = "the operator acts on this generation"
    return Verdict(ModelCondition.ACCEPTED, ConditionStatus.TRUE, Reason.ACCEPTED, message)


def _available(rollout: Rollout) -> Verdict:
    serving = sum(pod.serves for pod in rollout.pods)
    if serving:
        message = f"{serving} of {rollout.model.spec.replicas} pods serve"
        return Verdict(ModelCondition.AVAILABLE, ConditionStatus.TRUE, Reason.SERVING, message)
    reason, message = _obstacle(rollout)
    return Verdict(ModelCondition.AVAILABLE, ConditionStatus.FALSE, reason, message)


def _ready(rollout: Rollout) -> Verdict:
    wanted, deployment = rollout.model.spec.replicas, rollout.deployment
    if (
        rollout.rejected is None
        and deployment is not None
        and rollout.up_to_date
        and deployment.observed_generation >= deployment.generation
        and deployment.replicas == deployment.updated == deployment.ready == wanted > 0
        and sum(pod.serves for pod in rollout.pods) >= wanted
        and (rollout.mixture is None or rollout.mixture.is_everywhere)
    ):
        message = "; ".join(filter(None, (f"{wanted}/{wanted} pods serve", _of_mixture(rollout))))
        return Verdict(ModelCondition.READY, ConditionStatus.TRUE, Reason.SERVING, message)
    reason, message = _obstacle(rollout)
    return Verdict(ModelCondition.READY, ConditionStatus.FALSE, reason, message)


def _of_mixture(rollout: Rollout) -> str:
    if rollout.mixture is None:
        return ""
    return "; ".join(filter(None, (f"mixture {rollout.mixture.serving}", rollout.mixture.note())))


def _obstacle(rollout: Rollout) -> tuple[Reason, str]:
    """The first thing that keeps the model from being Ready, assuming that something does."""
    if rollout.rejected is not None:
        return rollout.rejected.reason, rollout.rejected.message
    wanted = rollout.model.spec.replicas
    if wanted == 0:
        return Reason.SCALED_TO_ZERO, "spec.replicas is 0"
    problem = _gravest_problem(rollout.pods)
    if problem is not None:
        return problem
    mixed = rollout.mixture
    if mixed is not None and (wrong := mixed.hard_obstacle()) is not None:
        return wrong
    serving = sum(pod.serves for pod in rollout.pods)
    deployment = rollout.deployment
    updated = 0 if deployment is None or not rollout.up_to_date else deployment.updated
    if serving and (updated < wanted or (deployment is not None and deployment.replicas > wanted)):
        message = f"{updated} of {wanted} pods run the wanted template; {serving} serve"
        return Reason.ROLLING_OUT, message + _of_crashes(rollout.pods)
    if mixed is not None and (late := mixed.soft_obstacle()) is not None:
        return late
    message = f"{serving} of {wanted} pods serve; the others are starting or load the model"
    return Reason.MODEL_LOADING, message + _of_crashes(rollout.pods)


def _of_crashes(pods: tuple[ObservedPod, ...]) -> str:
    """Of the first pod that starts again: nothing else tells it from one that starts for the first time."""
    again = [(pod.name, pod.crash) for pod in pods if pod.crash is not None and not (pod.ready or pod.terminating)]
    if not again:
        return ""
    name, crash = min(again, key=lambda pair: pair[0])
    others = f" (and {len(again) - 1} more)" if len(again) > 1 else ""
    return f"; pod {name}{others} starts again: {crash.message}"


def _gravest_problem(pods: tuple[ObservedPod, ...]) -> tuple[Reason, str] | None:
    """The reason that asks most for a person, and the pods that have it."""
    ill = [(pod, pod.problem) for pod in pods if pod.problem is not None and not pod.terminating]
    if not ill:
        return None

    def gravity(reason: Reason) -> int:
        return _GRAVEST_FIRST.index(reason) if reason in _GRAVEST_FIRST else len(_GRAVEST_FIRST)

    pod, problem = min(ill, key=lambda pair: (gravity(pair[1].reason), pair[0].name))
    same = sum(other.reason == problem.reason for _, other in ill)
    others = f" (and {same - 1} more)" if same > 1 else ""
    return problem.reason, f"pod {pod.name}{others}: {problem.message}"
