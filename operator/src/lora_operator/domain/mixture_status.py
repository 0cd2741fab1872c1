"""How far the pods are with the mixture that they are to serve as their model."""

from collections.abc import Iterator
from dataclasses import dataclass

from lora_api.mixture_api import MixtureReport, MixtureSpec, MixtureState
from lora_api.recipes.outcome import Blocked
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.mixture import MixtureStatus
from lora_operator.domain import mixtures
from lora_operator.domain.mixtures import Outcome
from lora_operator.domain.observed import ObservedModel, ObservedPod, Unreachable

_SOUND = frozenset(
    {MixtureState.LOADING, MixtureState.DRAINING, MixtureState.SERVING, MixtureState.NEEDS_RESTART},
)
"""States of one whose files were found good; only such files are pinned."""


@dataclass(frozen=True, slots=True)
class MixtureDelivery:
    """One mixture as the pods report it, against the one that is wanted."""

    model: ObservedModel
    outcome: Outcome
    wanted: MixtureSpec | None
    """What the document says."""
    pods: tuple[ObservedPod, ...]

    def status(self) -> MixtureStatus:
        """The status to store; what no pod says now stays as it was said of the same mixture."""
        before = self.model.status.mixture or MixtureStatus()
        wanted, mixture = self.wanted, self.model.spec.mixture
        if before.revision != (wanted and wanted.revision):
            before = before.model_copy(update={"experts": 0, "layers": 0, "trained": None})
        told = [report for _, report in self._reports() if report.state in _SOUND]
        experts = len(mixture.experts or ()) if mixture is not None else 0
        return MixtureStatus(
            revision=wanted and wanted.revision,
            serving=self.serving,
            experts=experts or max((len(report.experts) for report in told), default=0) or before.experts,
            layers=next((report.layers for report in told if report.layers is not None), before.layers),
            trained=False if experts else next((r.trained for r in told if r.trained is not None), before.trained),
            **self._pin(before, told),
        )

    @property
    def serving(self) -> str | None:
        """The revision that all serving pods answer with, if they answer with one."""
        found = {None if (said := _said(pod)) is None else said.serving for pod in self.pods if pod.serves}
        return found.pop() if len(found) == 1 else None

    @property
    def is_everywhere(self) -> bool:
        """Whether every serving pod answers with what the spec asks for."""
        return isinstance(self.outcome, MixtureSpec) and self.serving == self.outcome.revision

    def hard_obstacle(self) -> tuple[Reason, str] | None:
        """What is wrong with the mixture, or what has to be there before pods can begin with it."""
        if isinstance(self.outcome, Blocked):
            return self.outcome.reason, self.outcome.message + self._meanwhile()
        reports = tuple(self._reports())
        failed = [(pod, report) for pod, report in reports if report.state is MixtureState.FAILED]
        if failed:
            pod, report = failed[0]
            reason = report.reason or Reason.LOAD_FAILED
            same = sum(other.reason == report.reason for _, other in failed)
            others = f" (and {same - 1} more)" if same > 1 else ""
            return reason, f"pod {pod.name}{others}: {report.message}{self._meanwhile()}"
        for pod, report in reports:
            if report.state is MixtureState.FETCHING:
                return Reason.FETCHING, f"pod {pod.name} {_progress(report)}{self._meanwhile()}"
        return None

    def soft_obstacle(self) -> tuple[Reason, str] | None:
        """Which serving pod answers with another one, and how far it is."""
        if not isinstance(self.outcome, MixtureSpec):
            return None
        wanted = self.outcome.revision
        for pod in self.pods:
            if not pod.serves:
                continue
            if isinstance(pod.inventory, Unreachable):
                return Reason.POD_UNREACHABLE, f"pod {pod.name} does not answer: {pod.inventory.message}"
            report = pod.inventory.mixture
            if report is not None and report.serving == wanted:
                continue
            if report is None or report.revision != wanted:
                return Reason.LOADING, f"pod {pod.name} has not begun with mixture {wanted}{self._meanwhile()}"
            if report.state is MixtureState.NEEDS_RESTART:
                return Reason.ROLLING_OUT, (
                    f"pod {pod.name} cannot take mixture {wanted} as it runs ({report.message}): pods are replaced, one by "
                    f"one{self._meanwhile()}"
                )
            return Reason.LOADING, f"pod {pod.name} has mixture {wanted} {report.state}{self._meanwhile()}"
        return None

    def note(self) -> str:
        """What pods have to say of the mixture that they serve, although nothing is wrong."""
        return next((r.message for _, r in self._reports() if r.state is MixtureState.SERVING and r.message), "")

    def _reports(self) -> Iterator[tuple[ObservedPod, MixtureReport]]:
        """What living pods say of the wanted one."""
        for pod in self.pods:
            report = _said(pod)
            if report is not None and self.wanted is not None and report.revision == self.wanted.revision:
                yield pod, report

    def _meanwhile(self) -> str:
        found = {None if (said := _said(pod)) is None else said.serving for pod in self.pods if pod.serves}
        served = sorted(revision for revision in found if revision is not None)
        return f"; {' and '.join(served)} is served meanwhile" if served else ""

    def _pin(self, before: MixtureStatus, told: list[MixtureReport]) -> dict[str, object]:
        mixture = self.model.spec.mixture
        if mixture is None or mixture.source is None:
            return {}
        asked = mixtures.source_hash(self.model)
        if before.source_hash == asked and before.digest is not None:
            return {"source_hash": asked, "digest": before.digest, "resolved_source": before.resolved_source}
        if self.wanted == self.outcome:
            for report in told:
                if report.source is not None and report.digest is not None:
                    return {"source_hash": asked, "digest": report.digest, "resolved_source": report.source}
        return {}


def summary(status: MixtureStatus) -> str:
    """The mixture in a few words, as `kubectl get` prints it."""
    if not status.experts:
        return ""
    counted = "1 expert" if status.experts == 1 else f"{status.experts} experts"
    if status.trained is None:
        return counted
    return f"{counted}, {'trained' if status.trained else 'untrained'}"


def _said(pod: ObservedPod) -> MixtureReport | None:
    return None if pod.terminating or isinstance(pod.inventory, Unreachable) else pod.inventory.mixture


def _progress(report: MixtureReport) -> str:
    if not report.bytes_total:
        return "is fetching the files"
    return f"has fetched {100 * (report.bytes_done or 0) // report.bytes_total}% of {report.bytes_total} bytes"
