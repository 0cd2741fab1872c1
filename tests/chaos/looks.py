"""How closely the pods were watched. Pure: what it is told is all that it knows."""

from dataclasses import dataclass, field

from chaos.sightings import SeenPod


@dataclass(slots=True)
class Looks:
    """At pods that were ready: of others nothing is claimed."""

    count: int = 0
    answered: int = 0
    """With every name answered, be it with an error."""
    gaps: list[float] = field(default_factory=list)
    """Seconds from one that was answered to the next that was, or that found the pod no longer ready."""
    _answered_at: dict[str, float] = field(default_factory=dict)

    def see(self, at: float, pod: SeenPod) -> None:
        """One more; those at one pod come in the order of their times."""
        self.count += pod.ready
        if pod.ready and (pod.served is None or pod.silent):
            return
        last = self._answered_at.pop(pod.name, None)
        if last is not None:
            self.gaps.append(at - last)
        if pod.ready:
            self.answered += 1
            self._answered_at[pod.name] = at

    def gap(self, share: float) -> float:
        """The one that this share of the gaps does not exceed: 0.5 gives the median, 1.0 the longest."""
        ordered = sorted(self.gaps) or [0.0]
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
