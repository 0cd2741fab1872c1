"""A pass that looks only at what has changed concludes what one that looks at everything does.

hypothesis chooses what happens between passes; after each, a plan is made with and without the memo of the one before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lora_api.runtime_api import AdapterReport, Desired, RevisionState
from lora_api.v1alpha1.conditions import Reason
from lora_operator.domain import plan
from lora_operator.domain.acceptance import Policy
from lora_operator.domain.actions import (
    Plan,
    PushDesired,
    WriteAdapterStatus,
    WriteDesired,
    WriteModelStatus,
)
from lora_operator.domain.memo import NOTHING
from lora_operator.domain.observed import ObservedAdapter, ObservedModel, Resolution, Snapshot
from support.builders import (
    NOW,
    a_blend,
    a_deployment,
    a_model,
    a_pod,
    a_refusal,
    a_report,
    a_resolution,
    a_snapshot,
    an_adapter,
    an_inventory,
    unreachable,
)

TRAINED, BLENDS, PODS = ("a", "b", "c", "d"), ("mix", "mix-of-mix"), ("p0", "p1")
MEMBERS = {"mix": ("a", "b"), "mix-of-mix": ("mix", "c")}

trained, blends, pods = st.sampled_from(TRAINED), st.sampled_from(BLENDS), st.sampled_from(PODS)
adapters = st.sampled_from((*TRAINED, *BLENDS))
weights, states = st.sampled_from((0.25, 1.0)), st.sampled_from(RevisionState)


@dataclass(slots=True)
class Pod:
    """What the operator knows of it. What is not told anew is the same object."""

    reports: dict[str, AdapterReport] = field(default_factory=dict)
    document: Desired | None = None
    away: bool = False
    ready: bool = True
    refusal: str | None = None


class Passes(RuleBasedStateMachine):
    """Anything at all happens between two passes, possible or not."""

    def __init__(self) -> None:
        super().__init__()
        self.model: ObservedModel = a_model(replicas=len(PODS))
        self.adapters: dict[str, ObservedAdapter] = {}
        self.resolutions: dict[str, Resolution] = {}
        self.changing: dict[str, datetime] = {}
        self.pods = {name: Pod() for name in PODS}
        self.desired: Desired | None = None
        self.stored: Desired | None = None
        self.written: list[Desired] = []
        self.memo, self.untold = NOTHING, dict[str, datetime]()
        self.plan = Plan(())
        self.births = 0
        self.now = NOW

    @initialize(settled=st.booleans(), poll=st.sampled_from((None, 3600)))
    def begin(self, settled: bool, poll: int | None) -> None:
        for name in (*TRAINED, *BLENDS) if settled else ():
            self.apply(name, 1.0, None, poll)
            self.a_source_is_answered(name, good=True, again=None)
        for _ in range(4):
            self._passes()
            self.pods_do_all_that_they_are_told()
        self.the_memo_decides_nothing()
        assert not settled or not self.plan.actions, "nothing is left to be done"

    # -- users ---------------------------------------------------------------------------------------------------------

    @rule(name=adapters, weight=weights, served=st.sampled_from((None, "a", "x")), poll=st.sampled_from((None, 3600)))
    def apply(self, name: str, weight: float, served: str | None, poll: int | None) -> None:
        before = self.adapters.get(name)
        self.births += before is None
        uid, generation = (f"uid-{self.births}", 1) if before is None else (before.meta.uid, before.meta.generation + 1)
        wish: dict[str, Any] = {"weight": weight, "servedName": served}
        if name in BLENDS:
            made = a_blend(name, dict.fromkeys(MEMBERS[name], weight), uid=uid, generation=generation, **wish)
        else:
            source = {"huggingFace": {"repo": f"team/{name}"}, "pollSeconds": poll}
            made = an_adapter(name, uid=uid, generation=generation, source=source, **wish)
        self.adapters[name] = made if before is None else replace(made, status=before.status)
        self.changing[uid] = self.now

    @rule(one=trained, other=trained)
    def a_name_is_claimed_and_then_given_up(self, one: str, other: str) -> None:
        self.apply(one, 1.0, other, None)
        self._passes()
        self.apply(other, 1.0, "elsewhere", None)

    @rule(name=trained, weight=weights)
    def an_update_that_no_pod_carries_out_is_waited_for(self, name: str, weight: float) -> None:
        self.apply(name, weight, None, None)
        self.a_source_is_answered(name, good=True, again=None)
        for _ in range(3):
            self._passes()
            self.time_passes(1)
        self.the_memo_decides_nothing()
        self.time_passes(200)

    @rule(name=adapters)
    def delete(self, name: str) -> None:
        self.adapters.pop(name, None)

    @rule(rank=st.sampled_from((4, 64)), replicas=st.integers(0, 2))
    def edit_the_model(self, rank: int, replicas: int) -> None:
        made = a_model(replicas=replicas, adapters={"maxRank": rank})
        self.model = replace(made, status=self.model.status)

    @rule()
    def the_model_is_read_again(self) -> None:
        self.model = replace(self.model, spec=self.model.spec.model_copy())

    # -- pods ----------------------------------------------------------------------------------------------------------

    @rule(name=trained, good=st.booleans(), again=st.sampled_from((None, 1, 30)))
    def a_source_is_answered(self, name: str, good: bool, again: int | None) -> None:
        adapter = self.adapters.get(name)
        if adapter is None or adapter.spec.source is None:
            return
        at = None if again is None else self.now + timedelta(seconds=again)
        answer = a_resolution(adapter) if good else a_refusal(adapter, Reason.SOURCE_UNREACHABLE, retry_at=at)
        self.resolutions[adapter.meta.uid] = answer

    @rule(pod=pods, name=st.sampled_from((*TRAINED, *BLENDS, "x")), state=states, whose=adapters)
    def a_pod_tells(self, pod: str, name: str, state: RevisionState, whose: str) -> None:
        uid = self.adapters[whose].meta.uid if whose in self.adapters else ""
        revision = self.plan.wanted.get(uid, "00000000")
        self.pods[pod].reports |= {name: a_report(name, **{f"r_{revision}": state})}

    @rule(pod=pods, name=adapters)
    def a_pod_has_nothing_of_a_name_any_more(self, pod: str, name: str) -> None:
        self.pods[pod].reports = {its: report for its, report in self.pods[pod].reports.items() if its != name}

    @rule(pod=pods, away=st.booleans(), ready=st.booleans())
    def a_pod_comes_or_goes(self, pod: str, away: bool, ready: bool) -> None:
        self.pods[pod].away, self.pods[pod].ready = away, ready

    @rule(pod=pods, refusal=st.sampled_from((None, "SVD is unknown", "TIES is unknown")))
    def a_pod_does_not_understand_its_document(self, pod: str, refusal: str | None) -> None:
        self.pods[pod].refusal = refusal

    @rule()
    def pods_do_all_that_they_are_told(self) -> None:
        for pod in self.pods.values():
            pod.document = self.desired
            for entry in () if self.desired is None else self.desired.adapters:
                has = {f"r_{s.revision}": RevisionState.PREPARED for s in (entry.prepare,) if s is not None}
                has |= {f"r_{s.revision}": RevisionState.SERVING for s in (entry.serve,) if s is not None}
                if pod.reports.get(entry.name) != a_report(entry.name, **has):
                    pod.reports = pod.reports | {entry.name: a_report(entry.name, **has)}

    # -- the operator --------------------------------------------------------------------------------------------------

    @rule()
    def what_was_planned_is_done(self) -> None:
        uids = {adapter.meta.uid: name for name, adapter in self.adapters.items()}
        for action in self.plan.actions:
            match action:
                case WriteDesired(document=document):
                    self.desired = self.stored = document
                    self.written.append(document)
                case PushDesired(document=document):
                    self.desired = document
                case WriteAdapterStatus(uid=uid, status=status) if uid in uids:
                    self.adapters[uids[uid]] = replace(self.adapters[uids[uid]], status=status)
                case WriteModelStatus(status=status):
                    self.model = replace(self.model, status=status)
                case _:
                    pass

    @rule(back=st.integers(0, 3))
    def a_document_is_put_back_or_deleted(self, back: int) -> None:
        self.desired = self.stored = self.written[-back] if 0 < back <= len(self.written) else None

    @rule(name=trained, weight=weights)
    def an_update_is_undone_behind_the_operator(self, name: str, weight: float) -> None:
        self.apply(name, weight, None, None)
        for _ in range(3):
            self._passes()
            self.pods_do_all_that_they_are_told()
        self.the_memo_decides_nothing()
        self.a_document_is_put_back_or_deleted(2)

    @rule(seconds=st.sampled_from((0.2, 2, 60)))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def the_memo_decides_nothing(self) -> None:
        snapshot, policy = self._look(), Policy()
        self.plan = plan.make_plan(snapshot, policy, self.now, memo=self.memo, untold=self.untold)
        anew = plan.make_plan(snapshot, policy, self.now, untold=self.untold)
        assert self.plan == anew
        assert self.plan.wanted == anew.wanted
        assert self.plan.memo == anew.memo, "what is handed over is what a pass over everything would hand over"
        self.memo, self.untold = self.plan.memo, dict(self.plan.untold)

    def _passes(self) -> None:
        self.the_memo_decides_nothing()
        self.what_was_planned_is_done()

    def _look(self) -> Snapshot:
        observed = (
            a_pod(
                name,
                ready=pod.ready,
                inventory=unreachable() if pod.away else an_inventory(*pod.reports.values(), document=pod.document),
                refusal=pod.refusal,
            )
            for name, pod in self.pods.items()
        )
        return a_snapshot(
            *self.adapters.values(),
            model=self.model,
            pods=tuple(observed),
            deployment=a_deployment(len(PODS)),
            desired=self.desired,
            stored=self.stored,
            changing=_known(self.changing, self.adapters),
            resolutions=dict(self.resolutions),
            asking_since=NOW,
        )


def _known(changing: Mapping[str, datetime], adapters: Mapping[str, ObservedAdapter]) -> Mapping[str, datetime]:
    uids = {adapter.meta.uid for adapter in adapters.values()}
    return {uid: since for uid, since in changing.items() if uid in uids}


TestPasses = Passes.TestCase
TestPasses.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
