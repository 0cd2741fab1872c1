"""Operator, pods and the Deployment take turns over a mixture that changes: nobody is left without one, and all ends well."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lora_api.v1alpha1.conditions import ModelCondition
from lora_operator.domain import conditions
from unit.interleavings.mixing_cluster import REPLICAS, MixingCluster

WISHES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)
WEIGHTS = st.sampled_from((0.5, 1.0))


class Mixtures(RuleBasedStateMachine):
    """Users, pods, the operator and the Deployment's controller, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = MixingCluster()
        self.sizes = {1}
        """Of all mixtures that were ever wished for."""

    @initialize()
    def begin(self) -> None:
        self.cluster.settle()

    @rule(names=WISHES, weight=WEIGHTS)
    def a_user_edits(self, names: list[str], weight: float) -> None:
        self.cluster.wish = tuple((name, weight) for name in names)
        self.sizes.add(len(names))

    @rule(names=WISHES, others=WISHES)
    def a_user_changes_their_mind_while_pods_are_replaced(self, names: list[str], others: list[str]) -> None:
        self.a_user_edits(names, 1.0)
        self.pods_and_the_operator_take_turns()
        self.a_user_edits(others, 1.0)
        self.cluster.operator()
        for _ in range(3 * REPLICAS):
            self.cluster.deployment()
            for pod in self.cluster.pods:
                pod.step(self.cluster.broken)
        self.a_user_edits(names, 1.0)

    def pods_and_the_operator_take_turns(self) -> None:
        for _ in range(2):
            self.cluster.operator()
            for pod in self.cluster.pods:
                pod.step(self.cluster.broken)
            self.cluster.hear()
        self.cluster.operator()

    @rule()
    def files_break_or_are_mended(self) -> None:
        self.cluster.broken = not self.cluster.broken

    @rule(index=st.integers(0, REPLICAS))
    def a_pod_does_what_it_can(self, index: int) -> None:
        for pod in self.cluster.pods[index : index + 1]:
            pod.step(self.cluster.broken)

    @rule()
    def the_operator_hears_of_all_pods(self) -> None:
        self.cluster.hear()

    @rule()
    def the_operator_makes_a_pass(self) -> None:
        self.cluster.operator()

    @rule()
    def the_deployment_takes_a_step(self) -> None:
        self.cluster.deployment()

    @rule()
    def everybody_comes_to_rest(self) -> None:
        self.cluster.settle()
        wanted = self.cluster.wanted().revision
        assert [pod.serving and pod.serving.revision for pod in self.cluster.pods] == [wanted] * REPLICAS
        assert conditions.is_true(self.cluster.status.conditions, ModelCondition.READY)
        assert self.cluster.status.mixture is not None
        assert self.cluster.status.mixture.serving == wanted

    @invariant()
    def as_many_pods_as_wished_serve_one(self) -> None:
        assert sum(pod.serving is not None for pod in self.cluster.pods) in (0, REPLICAS, REPLICAS + 1)

    @invariant()
    def pods_are_replaced_for_other_shapes_only(self) -> None:
        assert len(self.sizes) > 1 or self.cluster.born <= REPLICAS

    def teardown(self) -> None:
        if self.cluster.pods:
            self.everybody_comes_to_rest()


Mixtures.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestMixtures = Mixtures.TestCase
