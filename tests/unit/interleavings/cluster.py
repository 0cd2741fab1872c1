"""A cluster in memory: objects, pods and an operator that sees late, acts in part and dies in between."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from lora_api.runtime_api import Desired, Inventory
from lora_operator.domain import plan
from lora_operator.domain.acceptance import Policy
from lora_operator.domain.actions import (
    Action,
    PushDesired,
    ResolveSource,
    WriteAdapterStatus,
    WriteDesired,
    WriteModelStatus,
)
from lora_operator.domain.memo import NOTHING, Memo
from lora_operator.domain.observed import ModelKey, ObservedAdapter, ObservedModel, Resolution, Unreachable
from lora_operator.reconcile.applied import Applied
from support.builders import NAMESPACE, NOW, a_deployment, a_model, a_pod, a_resolution, a_snapshot
from unit.interleavings.pods import Pod

KEY = ModelKey(NAMESPACE, "smol")


@dataclass(slots=True)
class Cluster:
    """Everything there is. The operator knows `adapters` and `stored` at each look; of pods what it heard last."""

    pods: dict[str, Pod]
    adapters: dict[str, ObservedAdapter] = field(default_factory=dict)
    """By name of the object."""
    model: ObservedModel = field(default_factory=a_model)
    stored: Desired | None = None
    """The ConfigMap."""
    written: list[Desired] = field(default_factory=list)
    """All that it ever held."""
    applied: Applied = field(default_factory=Applied)
    """What the operator knows of it, and told last."""
    new: bool = True
    """Whether it has not decided yet since it began."""
    memo: Memo = NOTHING
    untold: Mapping[str, datetime] = field(default_factory=dict)
    heard: dict[str, Inventory] = field(default_factory=dict)
    """What the operator heard of each pod last."""
    questions: dict[str, str] = field(default_factory=dict)
    """Adapters whose source a pod is being asked about: name by UID."""
    resolutions: dict[str, Resolution] = field(default_factory=dict)
    cut_off: set[str] = field(default_factory=set)
    """Pods that the operator does not reach."""
    unheard: set[str] = field(default_factory=set)
    """Pods whose answers to the operator's documents are lost."""
    without_past: set[str] = field(default_factory=set)
    """UIDs of adapters that could not be had when an operator began that did not find the last document: nobody knows how
    what they served was made."""
    unknown: set[str] = field(default_factory=set)
    """UIDs of adapters that not all pods were known to serve as wanted then: nobody knows which of the pods are right."""
    now: datetime = NOW
    torn: list[str] = field(default_factory=list)
    """Pods that were told to switch together without having the new revision."""
    overtaken: list[str] = field(default_factory=list)
    """Pods for which a document was made that they cannot take, as the operator had heard."""

    @property
    def seconds(self) -> float:
        return (self.now - NOW).total_seconds()

    def hear(self, pod: Pod) -> None:
        """The pod's long poll comes back."""
        if pod.name not in self.cut_off:
            self.heard[pod.name] = pod.inventory()

    def forget(self) -> None:
        """The operator starts anew."""
        self.applied, self.new = Applied(), True
        self.heard.clear()
        self.memo, self.untold = NOTHING, {}
        self.questions.clear()
        self.resolutions.clear()

    def answer(self) -> None:
        """Pods answer all questions."""
        for uid, name in self.questions.items():
            adapter = self.adapters.get(name)
            if adapter is not None and adapter.meta.uid == uid:
                self.resolutions[uid] = a_resolution(adapter)
        self.questions.clear()

    def put_back(self, back: int) -> None:
        """Somebody restores the ConfigMap as it was so many documents ago; deletes it if there was none."""
        earlier = [
            document for document in self.written if self.stored is None or document.sequence < self.stored.sequence
        ]
        self.stored = earlier[-back] if 0 < back <= len(earlier) else None

    def decide(self) -> tuple[Action, ...]:
        """What the operator would do now."""
        observed = [
            a_pod(
                pod.name,
                ready=pod.ready,
                inventory=Unreachable("silence") if pod.name in self.cut_off else self.heard.get(pod.name),
            )
            for pod in self.pods.values()
            if pod.name in self.heard or pod.name in self.cut_off
        ]
        seen = self.applied.seen(KEY) or self.applied.note_seen(KEY, {}, self.stored)
        snapshot = a_snapshot(
            *sorted(self.adapters.values(), key=lambda adapter: adapter.meta.name),
            model=self.model,
            pods=tuple(observed),
            deployment=a_deployment(len(self.pods)),
            desired=seen.desired,
            stored=seen.stored,
            resolutions=dict(self.resolutions),
        )
        decided = plan.make_plan(snapshot, Policy(), self.now, memo=self.memo, untold=self.untold)
        anew = plan.make_plan(snapshot, Policy(), self.now, untold=self.untold)
        assert (decided, decided.memo) == (anew, anew.memo), "the memo decides"
        self.memo, self.untold = decided.memo, decided.untold
        if self.new and self.written and self.stored != self.written[-1]:
            uids = {adapter.meta.uid for adapter in snapshot.adapters}
            self.without_past |= uids - decided.wanted.keys()
            self.unknown |= uids - set(self._served_by_all(decided.wanted))
        self.new = False
        return decided.actions

    def act(self, actions: tuple[Action, ...]) -> None:
        """Carries these out, in order."""
        for action in actions:
            match action:
                case WriteDesired(document=document):
                    self.torn += self._torn_by(document)
                    self.overtaken += self._refusing(document)
                    self.stored = document
                    self.written.append(document)
                    config_map = {"metadata": {"name": "smol-desired", "resourceVersion": str(len(self.written))}}
                    self.applied.note_stored(KEY, document, config_map)
                case PushDesired(pod=name, document=document):
                    self.applied.note_told(KEY, document)
                    pod = self.pods[name]
                    if name not in self.cut_off and pod.put(document) and name not in self.unheard:
                        self.heard[name] = pod.inventory()
                case ResolveSource(adapter_uid=uid):
                    self.questions[uid] = next((n for n, a in self.adapters.items() if a.meta.uid == uid), "")
                case WriteAdapterStatus(name=name, uid=uid, status=status):
                    adapter = self.adapters.get(name)
                    if adapter is not None and adapter.meta.uid == uid:
                        self.adapters[name] = replace(adapter, status=status)
                case WriteModelStatus(status=status):
                    self.model = replace(self.model, status=status)
                case _:
                    raise AssertionError(f"no children in this world: {action}")

    def _served_by_all(self, wanted: Mapping[str, str]) -> Iterator[str]:
        ready = [pod.name for pod in self.pods.values() if pod.ready]
        heard = [None if name in self.cut_off else self.heard.get(name) for name in ready]
        for name, adapter in self.adapters.items():
            reports = [None if said is None else said.adapter(name) for said in heard]
            served = {None if report is None else report.serving for report in reports}
            if served == {wanted.get(adapter.meta.uid, "")}:
                yield adapter.meta.uid

    def _torn_by(self, document: Desired) -> Iterator[str]:
        known = self.applied.seen(KEY)
        before = {entry.name: entry for entry in known.desired.adapters} if known and known.desired else {}
        for entry in document.adapters:
            old, adapter = before.get(entry.name), self.adapters[entry.name]
            if old is None or old.uid != entry.uid or old.serve is None or entry.serve is None:
                continue
            if old.serve.revision == entry.serve.revision or adapter.spec.update.strategy != "Together":
                continue
            for pod in self.pods.values():
                heard = self.heard.get(pod.name)
                asked = pod.ready and pod.name not in self.cut_off
                if asked and heard is not None and heard.boot_id == pod.boot_id:
                    yield from () if pod.has(entry.name, entry.serve.revision) else (f"{pod.name}: {entry.name}",)

    def _refusing(self, document: Desired) -> Iterator[str]:
        for name, heard in self.heard.items():
            known = heard.desired_etag == document.etag
            if name not in self.cut_off and not known and (heard.desired_sequence or 0) >= document.sequence:
                yield f"{name} works on {heard.desired_sequence}, made was {document.sequence}"

    def settle(self, rounds: int = 40) -> None:
        """Lets everybody finish; nothing is cut off or broken any more."""
        self.cut_off.clear()
        self.unheard.clear()
        for pod in self.pods.values():
            pod.broken.clear()
        for _ in range(rounds):
            self.now += timedelta(seconds=2)
            moved = [pod.rest(self.seconds) for pod in self.pods.values()]
            for pod in self.pods.values():
                self.hear(pod)
            self.answer()
            actions = self.decide()
            self.act(actions)
            if not actions and not any(moved) and not self.questions:
                return
        raise AssertionError(f"still busy after {rounds} rounds: {actions}")
