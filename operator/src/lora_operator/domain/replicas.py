"""The pods that requests can reach, and what each says of each served name."""

from collections.abc import Mapping
from dataclasses import dataclass

from lora_api.runtime_api import AdapterReport, Capacity, RevisionReport, RevisionState
from lora_operator.domain.observed import ObservedPod, Unreachable

_IN_ENGINE = frozenset({RevisionState.PREPARED, RevisionState.SERVING})


@dataclass(frozen=True, slots=True)
class Replica:
    """One pod that requests can reach."""

    name: str
    said: Mapping[str, AdapterReport] | Unreachable
    """Its report by served name."""
    document: str | None = None
    """The etag of the desired document that it reports on."""
    sequence: int | None = None
    """That document's place in their order."""
    capacity: Capacity | None = None
    """Room in its engine; None when it does not answer."""
    refusal: str | None = None
    """See ObservedPod."""

    def serving(self, served_name: str, uid: str) -> str | None:
        """The revision of this very LoRAAdapter that it serves under a name; None also when it does not answer.

        Of an earlier object of the name, the pod takes even the same revision out of service before it has the new one's.
        """
        report = None if isinstance(self.said, Unreachable) else self.said.get(served_name)
        return None if report is None or report.uid not in (None, uid) else report.serving

    def report(self, served_name: str, revision: str) -> RevisionReport | None:
        """How far it is with one revision of a name; None also when it does not answer."""
        report = None if isinstance(self.said, Unreachable) else self.said.get(served_name)
        return None if report is None else report.report(revision)

    def has_in_engine(self, served_name: str, revision: str) -> bool:
        """Whether its engine has one revision of a name, in service or ready for it; False when it does not answer."""
        report = self.report(served_name, revision)
        return report is not None and report.state in _IN_ENGINE


def serving_replicas(pods: tuple[ObservedPod, ...]) -> tuple[Replica, ...]:
    """The pods that requests can reach, by name."""
    return tuple(_replica(pod) for pod in sorted(pods, key=lambda pod: pod.name) if pod.serves)


def _replica(pod: ObservedPod) -> Replica:
    if isinstance(pod.inventory, Unreachable):
        return Replica(pod.name, pod.inventory)
    said = pod.inventory
    return Replica(pod.name, said.by_name, said.desired_etag, said.desired_sequence, said.capacity, pod.refusal)
