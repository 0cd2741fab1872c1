"""Operator and pods decide in any order, with anything in between: what must never happen does not, and all ends well.

Both sides' real decisions (`make_plan`, `next_step`) run over a cluster in memory, step by step. hypothesis chooses the steps.
"""

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lora_api.v1alpha1.conditions import AdapterCondition
from lora_operator.domain.observed import ObservedAdapter
from support.builders import a_blend, a_model, an_adapter
from unit.interleavings.cluster import Cluster
from unit.interleavings.pods import Pod

pytestmark = pytest.mark.slow

PODS = ("p0", "p1", "p2")
TRAINED = ("a", "b")
BLEND = "c"
NAMES = (*TRAINED, BLEND)
WEIGHTS = (0.25, 0.5, 1.0)

pods, names, weights = st.sampled_from(PODS), st.sampled_from(NAMES), st.sampled_from(WEIGHTS)
strategies = st.sampled_from(("Together", "Rolling"))


class Interleavings(RuleBasedStateMachine):
    """Users, pods and the operator take turns."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster({name: Pod(name) for name in PODS}, model=a_model(replicas=len(PODS)))
        self.births = 0
        self.wishes: dict[str, set[float]] = defaultdict(set)
        """By UID: all weights that were ever wished for a trained adapter."""
        self.rolling: set[str] = set()
        """UIDs of objects that were once to be updated pod by pod."""
        self.served: dict[tuple[str, str], str] = {}
        """By boot and served name: the UID of the object that was served before the last step."""
        self.fulfilled: dict[tuple[object, ...], bool] = {}
        """Wishes that a pod was told of and fulfilled before the last step."""

    @initialize(settled=st.booleans())
    def begin(self, settled: bool) -> None:
        for pod in self.cluster.pods.values():
            pod.ready = True
            self.cluster.hear(pod)
        if settled:
            for name in NAMES:
                self.apply(name, WEIGHTS[0], "Together")
            self.everybody_comes_to_rest()

    # -- users ---------------------------------------------------------------------------------------------------------

    @rule(name=names, weight=weights, strategy=strategies)
    def apply(self, name: str, weight: float, strategy: str) -> None:
        before = self.cluster.adapters.get(name)
        if before is None:
            self.births += 1
        uid = f"uid-{self.births}" if before is None else before.meta.uid
        generation = 1 if before is None else before.meta.generation + 1
        made = _object(name, weight, uid=uid, generation=generation, strategy=strategy)
        self.cluster.adapters[name] = made if before is None else replace(made, status=before.status)
        self.wishes[uid].add(weight)
        if strategy == "Rolling":
            self.rolling.add(uid)

    @rule(name=names)
    def delete(self, name: str) -> None:
        self.cluster.adapters.pop(name, None)

    @rule(name=names, weight=weights)
    def delete_and_create_anew(self, name: str, weight: float) -> None:
        self.delete(name)
        self.apply(name, weight, "Together")

    @rule(name=names, weight=weights, other=weights, unheard=st.booleans())
    def a_user_changes_his_mind_twice(self, name: str, weight: float, other: float, unheard: bool) -> None:
        everybody = set(PODS)
        self.apply(name, weight, "Together")
        self.the_operator_and_some_pods_take_turns(everybody)
        self.cluster.unheard = everybody if unheard else set()
        for wish in (other, weight):
            self.apply(name, wish, "Together")
            self.the_operator_makes_a_pass(informed=False)
            for pod in self.cluster.pods.values() if wish == other else ():
                pod.rest(self.cluster.seconds)
        self.the_operator_makes_a_pass(informed=False)

    @rule(back=st.integers(0, 3), dies=st.booleans())
    def the_document_is_put_back_or_deleted(self, back: int, dies: bool) -> None:
        self.cluster.put_back(back)
        if dies:
            self.cluster.forget()

    @rule(name=names, weight=weights)
    def an_edit_arrives_everywhere(self, name: str, weight: float) -> None:
        self.apply(name, weight, "Together")
        self.everybody_comes_to_rest()

    @rule(back=st.integers(1, 4))
    def the_operator_starts_with_an_old_document(self, back: int) -> None:
        self.cluster.put_back(back)
        self.cluster.forget()
        self.the_operator_and_some_pods_take_turns(set(PODS))

    @rule()
    def time_passes(self) -> None:
        self.cluster.now += timedelta(seconds=15)

    # -- pods ----------------------------------------------------------------------------------------------------------

    @rule(pod=pods, name=names)
    def a_pod_takes_a_step(self, pod: str, name: str) -> None:
        if name in self.cluster.pods[pod].names:
            self.cluster.pods[pod].step(name, self.cluster.seconds)

    @rule(pod=pods)
    def a_pod_does_all_it_can(self, pod: str) -> None:
        self.cluster.pods[pod].rest(self.cluster.seconds)

    @rule(pod=pods, kept=st.booleans())
    def a_pod_restarts(self, pod: str, kept: bool) -> None:
        if not kept:
            # another pod, which has only what the ConfigMap holds
            self.cluster.pods[pod].document = None
        self.cluster.pods[pod].restart(self.cluster.stored)

    @rule(pod=pods, name=names)
    def a_pod_cannot_load(self, pod: str, name: str) -> None:
        self.cluster.pods[pod].broken ^= {name}

    # -- the operator --------------------------------------------------------------------------------------------------

    @rule(pod=pods)
    def the_operator_hears_of_a_pod(self, pod: str) -> None:
        self.cluster.hear(self.cluster.pods[pod])

    @rule(pod=pods)
    def a_pod_is_cut_off_or_back(self, pod: str) -> None:
        self.cluster.cut_off ^= {pod}

    @rule(pod=pods)
    def answers_to_documents_are_lost_or_heard_again(self, pod: str) -> None:
        self.cluster.unheard ^= {pod}

    @rule()
    def questions_are_answered(self) -> None:
        self.cluster.answer()

    @rule(informed=st.booleans())
    def the_operator_makes_a_pass(self, informed: bool) -> None:
        if informed:
            self.cluster.answer()
            for pod in self.cluster.pods.values():
                self.cluster.hear(pod)
        self.cluster.act(self.cluster.decide())

    @rule(done=st.integers(0, 6))
    def the_operator_dies_in_a_pass(self, done: int) -> None:
        self.cluster.act(self.cluster.decide()[:done])
        self.cluster.forget()

    @rule(who=st.sets(pods))
    def the_operator_and_some_pods_take_turns(self, who: set[str]) -> None:
        self.the_operator_makes_a_pass(informed=True)
        for pod in sorted(who):
            self.cluster.pods[pod].rest(self.cluster.seconds)

    @rule()
    def everybody_comes_to_rest(self) -> None:
        self.cluster.settle()
        self._all_is_well()

    def teardown(self) -> None:
        if self.cluster.adapters:
            self.everybody_comes_to_rest()

    # -- what must never happen ----------------------------------------------------------------------------------------

    @invariant()
    def nobody_who_is_served_is_given_up(self) -> None:
        now = {
            (pod.boot_id, served_name): name.uid
            for pod in self.cluster.pods.values()
            for served_name, name in pod.names.items()
            if name.serving is not None
        }
        alive = {pod.boot_id for pod in self.cluster.pods.values()}
        for (boot_id, served_name), uid in self.served.items():
            wanted = self.cluster.adapters.get(served_name)
            has_past = uid not in self.cluster.without_past
            if boot_id in alive and wanted is not None and wanted.meta.uid == uid and has_past:
                assert now.get((boot_id, served_name)) == uid, f"{served_name} of {uid} is not served any more"
        self.served = now

    @invariant()
    def no_weights_are_served_that_nobody_wished_for_this_object(self) -> None:
        for pod in self.cluster.pods.values():
            for served_name, name in pod.names.items():
                if name.serving is not None and served_name in TRAINED:
                    (part,) = name.serving.leaves
                    assert part.weight in self.wishes[name.uid]

    @invariant()
    def a_pod_that_serves_what_is_wanted_does_not_go_back(self) -> None:
        adapters = self.cluster.adapters
        now: dict[tuple[object, ...], bool] = {}
        for served_name, adapter in adapters.items():
            if served_name == BLEND and not set(TRAINED) <= adapters.keys():
                continue
            members = TRAINED if served_name == BLEND else (served_name,)
            wish = tuple((adapters[member].meta.uid, adapters[member].meta.generation) for member in members)
            for pod in self.cluster.pods.values():
                key = (pod.boot_id, served_name, adapter.meta.uid, adapter.meta.generation, wish)
                as_wanted = _serves(pod, served_name, adapter, adapters)
                if key in self.fulfilled and adapter.meta.uid not in self.cluster.unknown:
                    assert as_wanted, f"{pod.name} went back from {served_name} as it is wanted"
                # one that was not told yet may still be on its way to what was wanted before
                if as_wanted and pod.is_told_to_serve_what_it_serves(served_name):
                    now[key] = True
        self.fulfilled = now

    @invariant()
    def a_pod_serves_only_what_it_was_told_to_serve(self) -> None:
        for pod in self.cluster.pods.values():
            for served_name, name in pod.names.items():
                if name.serving is not None:
                    assert (served_name, name.uid, name.serving.revision) in pod.told

    @invariant()
    def one_name_means_at_most_two_revisions(self) -> None:
        for served_name, adapter in self.cluster.adapters.items():
            # a document that was put back names what was served before, also to pods that were not reached by what came after
            if adapter.meta.uid in self.rolling | self.cluster.unknown:
                continue
            found = {
                name.serving.revision
                for pod in self.cluster.pods.values()
                if pod.ready and (name := pod.names.get(served_name)) is not None and name.serving is not None
                if name.uid == adapter.meta.uid
            }
            assert len(found) <= 2, f"{served_name}: {found}"

    @invariant()
    def nobody_is_told_to_switch_together_before_all_can(self) -> None:
        assert not self.cluster.torn

    @invariant()
    def no_document_is_made_that_pods_are_known_to_refuse(self) -> None:
        assert not self.cluster.overtaken

    @invariant()
    def a_pod_holds_one_revision_beside_the_one_it_serves(self) -> None:
        # what a document that was put back says is served may be neither that nor what is prepared; to give up what is prepared
        # would break the promise that others switch upon
        unknown = self.cluster.unknown
        for pod in self.cluster.pods.values():
            assert all(len(name.prepared) <= 1 + (name.uid in unknown) for name in pod.names.values())

    def _all_is_well(self) -> None:
        adapters = self.cluster.adapters
        for served_name, adapter in adapters.items():
            ready = next(c for c in adapter.status.conditions if c.type == AdapterCondition.READY)
            if served_name == BLEND and not set(TRAINED) <= adapters.keys():
                assert (ready.status, ready.observed_generation) == ("False", adapter.meta.generation), ready
                continue
            wanted = _weights(adapter, adapters)
            for pod in self.cluster.pods.values():
                name = pod.names[served_name]
                assert name.serving is not None
                assert name.uid == adapter.meta.uid
                assert sorted(part.weight for part in name.serving.leaves) == wanted
            assert (ready.status, ready.observed_generation) == ("True", adapter.meta.generation), ready
        for pod in self.cluster.pods.values():
            assert {n for n, name in pod.names.items() if name.serving is not None} <= adapters.keys()
            # also what was let be for a while: see a_pod_holds_one_revision_beside_the_one_it_serves
            assert not any(name.prepared for name in pod.names.values())


def _object(name: str, weight: float, *, uid: str, generation: int, strategy: str) -> ObservedAdapter:
    if name == BLEND:
        return a_blend(
            name, dict.fromkeys(TRAINED, weight), uid=uid, generation=generation, update={"strategy": strategy}
        )
    return an_adapter(name, weight=weight, uid=uid, generation=generation, update={"strategy": strategy})


def _serves(pod: Pod, served_name: str, adapter: ObservedAdapter, adapters: dict[str, ObservedAdapter]) -> bool:
    name = pod.names.get(served_name)
    if name is None or name.serving is None or name.uid != adapter.meta.uid:
        return False
    return sorted(part.weight for part in name.serving.leaves) == _weights(adapter, adapters)


def _weights(adapter: ObservedAdapter, adapters: dict[str, ObservedAdapter]) -> list[float]:
    if adapter.spec.blend is None:
        return [adapter.spec.weight]
    return sorted(m.weight * adapters[m.adapter_ref.name].spec.weight for m in adapter.spec.blend.members)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=2000, stateful_step_count=50, deadline=None)
