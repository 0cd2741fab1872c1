"""A cluster in memory whose pods serve a mixture: their Deployment replaces them when its template says something else."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lora_api.mixture_api import MixtureReport, MixtureSpec, MixtureState
from lora_api.runtime_api import Desired, Inventory
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain import mixtures, plan
from lora_operator.domain.actions import PushDesired, WriteDesired, WriteModelStatus
from lora_operator.domain.observed import ObservedDeployment, ObservedExpert, ObservedPod, Snapshot, Unreachable
from support.builders import LONG_AGO, NOW, a_deployment, an_inventory
from support.mixture_builders import POLICY, a_look, a_mixture, an_expert

REPLICAS = 2


@dataclass(slots=True)
class MixingPod:
    """Serves what has as many experts as what it began with."""

    name: str
    mark: str | None
    document: Desired | None
    experts: int | None = None
    serving: MixtureSpec | None = None
    report: MixtureReport | None = None

    def step(self, broken: bool) -> None:
        """Does all it can for the mixture that its document wants; while its files are broken, it can do nothing."""
        wanted = None if self.document is None else self.document.mixture
        if wanted is None:
            return
        if broken:
            state = MixtureState.FAILED
        elif self.experts not in (None, len(wanted.experts)):
            state = MixtureState.NEEDS_RESTART
        else:
            state, self.serving, self.experts = MixtureState.SERVING, wanted, len(wanted.experts)
        served = None if self.serving is None else self.serving.revision
        self.report = MixtureReport(revision=wanted.revision, state=state, serving=served)

    def put(self, document: Desired) -> None:
        if self.document is None or document.sequence > self.document.sequence:
            self.document = document

    def inventory(self) -> Inventory:
        return an_inventory(document=self.document, mixture=self.report)


@dataclass(slots=True)
class MixingCluster:
    """Everything there is; of pods, the operator knows what it heard last."""

    wish: tuple[tuple[str, float], ...] = (("a", 1.0),)
    status: LoRAModelStatus = field(default_factory=LoRAModelStatus)
    stored: Desired | None = None
    mark: str | None = None
    """Of the Deployment's template."""
    pods: list[MixingPod] = field(default_factory=list)
    heard: dict[str, Inventory] = field(default_factory=dict)
    broken: bool = False
    born: int = 0

    def wanted(self) -> MixtureSpec:
        found = mixtures.outcome_of(self._look(), POLICY)
        assert isinstance(found, MixtureSpec)
        return found

    def operator(self) -> bool:
        """One pass; whether it did anything."""
        look = self._look()
        mark = mixtures.template_mark(look, mixtures.outcome_of(look, POLICY))
        decided = plan.make_plan(look, POLICY, NOW)
        for action in decided.actions:
            match action:
                case WriteDesired(document=document):
                    self.stored = document
                case PushDesired(pod=name, document=document):
                    for pod in self.pods:
                        if pod.name == name:
                            pod.put(document)
                            self.heard[name] = pod.inventory()
                case WriteModelStatus(status=status):
                    self.status = status
                case _:
                    raise AssertionError(f"nothing else is to be done: {action}")
        moved = bool(decided.actions) or mark != self.mark
        self.mark = mark
        return moved

    def hear(self) -> None:
        self.heard = {pod.name: pod.inventory() for pod in self.pods}

    def deployment(self) -> bool:
        """One step of the controller of the Deployment: one more than there should be, and then one less."""
        fresh = [pod for pod in self.pods if pod.mark == self.mark]
        stale = [pod for pod in self.pods if pod.mark != self.mark]
        ready = [pod for pod in self.pods if pod.serving is not None]
        # One that is not ready serves nobody: it may go at any time.
        leaving = next((p for p in stale if p.serving is None), next(iter(stale), None))
        if leaving is not None and (leaving.serving is None or len(ready) > REPLICAS):
            self.pods.remove(leaving)
        elif len(fresh) < REPLICAS and len(self.pods) <= REPLICAS:
            self.born += 1
            self.pods.append(MixingPod(f"p{self.born}", self.mark, self.stored))
        else:
            return False
        return True

    def settle(self, rounds: int = 60) -> None:
        """Lets everybody finish; nothing is broken any more."""
        self.broken = False
        for _ in range(rounds):
            before = [(pod.name, pod.report) for pod in self.pods]
            for pod in self.pods:
                pod.step(self.broken)
            self.hear()
            # Both take their turn.
            moved = [self.operator(), self.deployment()]
            if not any(moved) and before == [(pod.name, pod.report) for pod in self.pods]:
                return
        raise AssertionError(f"still busy after {rounds} rounds: template {self.mark}, {self.pods}")

    def _look(self) -> Snapshot:
        experts: Mapping[str, ObservedExpert] = {name: an_expert(name) for name, _ in self.wish}
        listed = [{"adapterRef": {"name": name}, "weight": weight} for name, weight in self.wish]
        return a_look(
            a_mixture(experts=listed, replicas=REPLICAS, status=self.status),
            *experts.values(),
            pods=tuple(self._observed(pod) for pod in self.pods),
            deployment=self._deployment(),
            desired=self.stored,
            stored=self.stored,
        )

    def _observed(self, pod: MixingPod) -> ObservedPod:
        said = self.heard.get(pod.name, Unreachable("silence", asked=False))
        return ObservedPod(pod.name, "10.0.0.1", pod.serving is not None, False, LONG_AGO, said, mixture_mark=pod.mark)

    def _deployment(self) -> ObservedDeployment:
        updated = sum(pod.mark == self.mark for pod in self.pods)
        ready = sum(pod.serving is not None for pod in self.pods)
        return replace(a_deployment(len(self.pods), updated=updated, ready=ready), mixture_mark=self.mark)
