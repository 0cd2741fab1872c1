"""Whether anybody was told what is not so, or lost what he had. Pure: moments in, verdicts out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from chaos.sightings import Moment, SeenPod, Wanted

BOUND_SECONDS = 2.0
"""A status may be behind the pods for so long, while the operator runs and has its connections."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that must not happen."""

    at: float
    what: str
    """`false ready`, `lost` or `wrong`."""
    words: str


@dataclass(frozen=True, slots=True)
class _Held:
    """Something of an object was last seen to be served by one start of one pod."""

    wanted: bool
    """Whether it was what was wanted then, without a doubt."""


@dataclass(slots=True)
class Checker:
    """Takes moments; those of one pod in the order of their times."""

    bound_seconds: float = BOUND_SECONDS
    longest_lie_seconds: float = 0.0
    claims: int = 0
    """How often a status said Ready and was held against the answer of a pod."""
    judged_seconds: float = 0.0
    """For how long claims stood that were, each for itself."""
    silent_seconds: float = 0.0
    """For how long, when the pod did not answer."""
    excused_seconds: float = 0.0
    """For how long, when the operator or its API server was away."""
    verdicts: list[Verdict] = field(default_factory=list)
    _true_at: dict[tuple[str, str], float] = field(default_factory=dict)
    """By object and pod: when the status was last right about it, or said nothing; unknown once the pod was silent."""
    _lies: dict[tuple[str, str], float] = field(default_factory=dict)
    """By object and pod: since when the status has been wrong about it."""
    _told: set[tuple[str, str]] = field(default_factory=set)
    """Lies that were counted already."""
    _held: dict[tuple[str, str, str], _Held] = field(default_factory=dict)
    """By object, pod and its start: what was served after the status had once said so."""
    _confirmed: dict[str, float] = field(default_factory=dict)
    """Objects whose status has said Ready, and when it first did."""
    _begun: dict[tuple[str, str], float] = field(default_factory=dict)
    """By pod and its start: when it first answered."""
    _looked_at: dict[str, float] = field(default_factory=dict)
    """By pod."""

    def see(self, moment: Moment) -> None:
        """Judges one more moment."""
        for wanted in moment.adapters.values():
            if wanted.is_claimed(moment.statuses.get(wanted.name)):
                self._confirmed.setdefault(wanted.uid, moment.at)
            # A pod that was slow to answer may have been asked before another's moment in which it was first said.
            confirmed = self._confirmed.get(wanted.uid, math.inf) <= moment.at
            for pod in moment.pods:
                self._judge_claim(moment, wanted, pod)
                # An error tells nothing of what it served: an engine that has just died answers so.
                if confirmed and not _is_silent(pod, wanted.name) and wanted.name not in pod.failing:
                    self._judge_service(moment, wanted, pod)
        self._looked_at |= {pod.name: moment.at for pod in moment.pods}

    def count(self, what: str) -> int:
        """How many verdicts of one kind."""
        return sum(verdict.what == what for verdict in self.verdicts)

    def _judge_claim(self, moment: Moment, wanted: Wanted, pod: SeenPod) -> None:
        """A lie lasts from when the claim was last true, or not made, for as long as it is found to be false.

        Silence neither proves nor disproves. A lie that was seen before goes on through it. Without one, nobody knows since
        when what is found to be false after it has been so: that counts from when it is found.
        """
        key = wanted.uid, pod.name
        claimed = wanted.is_claimed(moment.statuses.get(wanted.name)) and pod.ready
        if claimed:
            self._count_claim(moment, wanted, pod)
        served = (pod.served or {}).get(wanted.name)
        if not (claimed and moment.operating):
            self._be_true(key, moment.at)
            return
        if _is_silent(pod, wanted.name):
            self._true_at.pop(key, None)
            return
        if served is not None and wanted.content in served:
            self._be_true(key, moment.at)
            return
        # Since the last moment at which it was true: it may have become a lie just after.
        seconds = moment.at - self._lies.setdefault(key, self._true_at.get(key, moment.at))
        self.longest_lie_seconds = max(self.longest_lie_seconds, seconds)
        if seconds > self.bound_seconds and key not in self._told:
            self._told.add(key)
            does = "answers with an error" if wanted.name in pod.failing else f"serves {_words(served)}"
            words = f"{wanted.name} is said to be Ready with {wanted.content}; {pod.name} {does}"
            self.verdicts.append(Verdict(moment.at, "false ready", words))

    def _be_true(self, key: tuple[str, str], at: float) -> None:
        self._true_at[key] = at
        self._lies.pop(key, None)
        self._told.discard(key)

    def _count_claim(self, moment: Moment, wanted: Wanted, pod: SeenPod) -> None:
        # By time, not by looks: one at a pod that keeps silent takes as long as many others.
        seconds = moment.at - self._looked_at.get(pod.name, moment.at)
        if not moment.operating:
            self.excused_seconds += seconds
        elif _is_silent(pod, wanted.name):
            self.silent_seconds += seconds
        else:
            self.claims += 1
            self.judged_seconds += seconds

    def _judge_service(self, moment: Moment, wanted: Wanted, pod: SeenPod) -> None:
        key = wanted.uid, pod.name, pod.boot
        served = (pod.served or {}).get(wanted.name)
        held = self._held.get(key)
        for what, words in self._wrongs(moment, wanted, pod, served, held):
            self.verdicts.append(Verdict(moment.at, what, f"{wanted.name} in {pod.name}: {words}"))
        if served is None:
            self._held.pop(key, None)
            return
        # An answer that may be of something else, too, shows nothing: the next question may tell that it was.
        self._held[key] = _Held(wanted=served == {wanted.content})

    def _wrongs(
        self,
        moment: Moment,
        wanted: Wanted,
        pod: SeenPod,
        served: frozenset[object] | None,
        held: _Held | None,
    ) -> Iterator[tuple[str, str]]:
        if served is None:
            if held is not None:
                yield "lost", f"it was served, is wanted, and is not served any more; wanted is {wanted.content}"
            return
        told = moment.operating and pod.connected
        begun = self._begun.setdefault((pod.name, pod.boot), moment.at)
        # Who could not be told of another object yet answers with what the one before it wanted; so does who has just started
        # from a document that somebody put back.
        if not served & set(wanted.ever) and ((told and moment.at - begun > self.bound_seconds) or not served):
            yield "wrong", f"it serves {_words(served)}, which nobody ever wanted of this object"
        elif (
            held is not None
            and held.wanted
            and wanted.content is not None
            and wanted.content not in served
            # Who has just changed his mind may be served what he wanted before for a moment.
            and moment.at - wanted.since > self.bound_seconds
            and told
        ):
            yield "lost", f"it served what is wanted, {wanted.content}, and went on to {_words(served)}"


def _is_silent(pod: SeenPod, name: str) -> bool:
    return pod.served is None or name in pod.silent


def _words(served: frozenset[object] | None) -> str:
    if served is None:
        return "nothing"
    return " or ".join(sorted(map(str, served))) or "something unknown"
