from dataclasses import replace

import pytest

from lora_api import labels
from lora_api.mixture_api import MixtureState
from lora_api.recipes.outcome import Blocked, Rejected
from lora_api.runtime_api import Desired
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import Condition, HuggingFaceSource
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.mixture import MixtureStatus
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain import acceptance, mixtures, rollout
from lora_operator.domain.observed import ObservedExpert, ObservedModel, Snapshot
from support.builders import a_deployment, a_digest, a_model, a_snapshot, an_adapter
from support.mixture_builders import (
    BASE,
    POLICY,
    a_look,
    a_mixing_pod,
    a_mixture,
    a_trained_mixture,
    an_expert,
    the_mixture,
)


def why_not(*experts: ObservedExpert, model: ObservedModel | None = None) -> Rejected | Blocked:
    found = mixtures.outcome_of(a_look(model or a_mixture(), *experts), POLICY)
    assert isinstance(found, Rejected | Blocked)
    return found


def test_a_plain_model_has_no_mixture() -> None:
    assert mixtures.outcome_of(a_snapshot(), POLICY) is None


def test_experts_are_pinned_in_the_order_in_which_they_are_named_with_the_product_of_the_weights() -> None:
    model = a_mixture(experts=[{"adapterRef": {"name": "b"}, "weight": 0.5}, {"adapterRef": {"name": "a"}}])
    found = the_mixture(a_look(model, an_expert("a"), an_expert("b", weight=0.7)))

    assert [(e.name, e.digest, e.weight) for e in found.experts] == [
        ("b", a_digest("b"), 0.35),
        ("a", a_digest("a"), 1.0),
    ]
    [first, _] = found.experts
    assert first.source.hugging_face is not None
    assert len(first.source.hugging_face.revision) == 40, "the source is a commit, not a branch"


@pytest.mark.parametrize(
    "other",
    [
        a_look(a_mixture("formal", "pirate"), an_expert("pirate"), an_expert("formal")),
        a_look(a_mixture(), an_expert("pirate", content="new"), an_expert("formal")),
        a_look(a_mixture(), an_expert("pirate", weight=0.5), an_expert("formal")),
        a_look(a_mixture(classifier={"seed": 1}), an_expert("pirate"), an_expert("formal")),
        a_look(a_mixture(config={"topK": 1}), an_expert("pirate"), an_expert("formal")),
    ],
    ids=["order", "content", "weight", "classifier", "option"],
)
def test_what_decides_the_answers_decides_the_revision(other: Snapshot) -> None:
    one = the_mixture(a_look(a_mixture(), an_expert("pirate"), an_expert("formal")))

    assert the_mixture(other).revision != one.revision


def test_where_equal_files_are_does_not_decide_the_revision() -> None:
    here = the_mixture(a_look(a_mixture("a"), an_expert("a", content="same")))
    there = the_mixture(a_look(a_mixture("b"), an_expert("b", content="same", source={"gcs": {"bucket": "other"}})))

    assert there.revision == here.revision


def test_an_expert_that_does_not_exist_is_named_and_the_model_is_rejected() -> None:
    found = why_not(an_expert("pirate"))

    assert isinstance(found, Rejected)
    assert found.reason is Reason.MEMBER_NOT_FOUND
    assert "LoRAAdapter formal" in found.message


def test_an_expert_whose_files_are_not_known_is_waited_for_and_its_own_trouble_is_told() -> None:
    trouble = Condition(
        type="Ready",
        status="False",
        observed_generation=1,
        last_transition_time="2026-01-01T00:00:00Z",
        reason="Unauthorized",
        message="it wants a token",
    )
    ill = an_adapter("formal", modelRef={"name": BASE})
    ill = an_adapter("formal", modelRef={"name": BASE}, status=ill.status.model_copy(update={"conditions": (trouble,)}))
    found = why_not(an_expert("pirate"), ObservedExpert(ill, a_model(BASE)))

    assert isinstance(found, Blocked)
    assert found.reason is Reason.MEMBER_NOT_READY
    assert "formal is not ready: Unauthorized: it wants a token" in found.message


def test_facts_of_an_earlier_source_do_not_count() -> None:
    old = an_expert("formal")
    moved = an_adapter(
        "formal",
        modelRef={"name": BASE},
        source={"huggingFace": {"repo": "team/elsewhere"}},
        status=old.adapter.status,
        generation=2,
    )

    assert why_not(an_expert("pirate"), ObservedExpert(moved, a_model(BASE))).reason is Reason.MEMBER_NOT_READY


def test_an_expert_whose_model_is_gone_is_waited_for() -> None:
    lost = ObservedExpert(an_expert("formal").adapter, None)

    assert why_not(an_expert("pirate"), lost).reason is Reason.MEMBER_NOT_READY


@pytest.mark.parametrize(
    ("expert", "reason"),
    [
        (an_expert("formal", blend={"members": [{"adapterRef": {"name": "x"}}]}), Reason.UNSUPPORTED_FEATURE),
        (an_expert("formal", model=a_mixture()), Reason.MODEL_IS_MIXTURE),
        (
            an_expert("formal", model=a_model(BASE, source={"huggingFace": {"repo": "team/other"}})),
            Reason.BASE_MODEL_MISMATCH,
        ),
    ],
)
def test_what_cannot_be_an_expert_is_rejected(expert: ObservedExpert, reason: Reason) -> None:
    found = why_not(an_expert("pirate"), expert)

    assert isinstance(found, Rejected)
    assert found.reason is reason
    assert "formal" in found.message


def test_what_must_be_edited_is_said_before_what_must_be_waited_for() -> None:
    lost = ObservedExpert(an_expert("pirate").adapter, None)

    assert isinstance(why_not(lost, an_expert("formal", model=a_mixture())), Rejected)


def test_a_source_whose_secret_the_pods_do_not_mount_is_rejected() -> None:
    place = {"huggingFace": {"repo": "team/voices"}, "credentialsRef": {"name": "hf"}}
    found = mixtures.outcome_of(a_look(a_trained_mixture(**place)), POLICY)

    assert isinstance(found, Rejected)
    assert found.reason is Reason.CREDENTIALS_NOT_MOUNTED


def test_an_expert_whose_secret_the_pods_of_the_mixture_do_not_mount_is_rejected() -> None:
    private = an_expert("formal")
    source = AdapterSource.model_validate({"huggingFace": {"repo": "team/formal"}, "credentialsRef": {"name": "hf"}})
    status = private.adapter.status.model_copy(update={"resolved_source": source})
    found = why_not(
        an_expert("pirate"), ObservedExpert(replace(private.adapter, status=status), private.model), model=a_mixture()
    )

    assert (type(found), found.reason) == (Rejected, Reason.CREDENTIALS_NOT_MOUNTED)
    assert "the expert formal" in found.message


PINNED = AdapterSource(hugging_face=HuggingFaceSource(repo="team/voices", revision="0" * 40))


def pinned(model: ObservedModel) -> LoRAModelStatus:
    return LoRAModelStatus(
        mixture=MixtureStatus(
            source_hash=mixtures.source_hash(model), digest=a_digest("voices"), resolved_source=PINNED
        )
    )


def test_a_trained_mixture_is_as_written_until_the_status_has_it_pinned() -> None:
    unpinned = the_mixture(a_look(a_trained_mixture()))
    later = the_mixture(a_look(a_trained_mixture(status=pinned(a_trained_mixture()))))

    assert (unpinned.source, unpinned.digest) == (
        AdapterSource(hugging_face=HuggingFaceSource(repo="team/voices")),
        None,
    )
    assert (later.source, later.digest) == (PINNED, a_digest("voices"))
    assert later.revision != unpinned.revision


def test_another_source_is_not_taken_for_the_one_that_was_pinned() -> None:
    status = pinned(a_trained_mixture())
    found = the_mixture(a_look(a_trained_mixture(huggingFace={"repo": "team/other"}, status=status)))

    assert found.digest is None


def test_the_annotation_has_the_source_looked_at_again_as_another_revision() -> None:
    model = a_trained_mixture(status=pinned(a_trained_mixture()))
    refreshed = replace(model, meta=replace(model.meta, annotations={labels.REFRESH: "now"}))
    first, again = the_mixture(a_look(a_trained_mixture())), the_mixture(a_look(refreshed))

    assert again.digest is None
    assert again.revision not in (first.revision, the_mixture(a_look(model)).revision)


def test_while_there_is_no_mixture_the_document_keeps_the_one_that_is_served() -> None:
    served = the_mixture(a_look(a_mixture(), an_expert("pirate"), an_expert("formal")))
    before = Desired(sequence=3, mixture=served)

    assert mixtures.in_document(why_not(an_expert("pirate")), before) == served
    assert mixtures.in_document(None, before) is None


def test_a_document_changes_with_its_mixture_and_only_then() -> None:
    served = the_mixture(a_look(a_mixture(), an_expert("pirate"), an_expert("formal")))
    other = the_mixture(a_look(a_mixture("formal"), an_expert("formal")))
    first = rollout.next_desired(None, (), (), served)
    same = rollout.next_desired(first, (), (), served)
    second = rollout.next_desired(first, (), (), other)

    assert first.mixture == served
    assert same is first
    assert (second.mixture, second.sequence) == (other, first.sequence + 1)
    assert rollout.changes(first, second) == f"mixture: serve {other.revision}"


def test_adapters_of_a_mixture_are_rejected_and_not_in_the_document() -> None:
    adapter = an_adapter("pirate")
    snapshot = a_look(a_mixture(), an_expert("formal"))
    rejected = acceptance.rejections(a_snapshot(adapter, model=snapshot.model), POLICY)

    assert rejected[adapter.uid].reason is Reason.MODEL_IS_MIXTURE
    assert not rollout.entries(None, (adapter,), rejected, ())


class TestReplacingPods:
    """The mark in the pod template."""

    look = a_look(a_mixture(), an_expert("pirate"), an_expert("formal"))
    wanted = the_mixture(look)
    document = Desired(sequence=7, mixture=wanted)

    def mark(
        self,
        state: MixtureState,
        *,
        pods: str | None = None,
        template: str | None = None,
        old: bool = False,
        terminating: bool = False,
    ) -> str | None:
        told = Desired(sequence=6) if old else self.document
        pod = a_mixing_pod(wanted=self.wanted, state=state, serving="00000000", document=told, mark=pods)
        pod = replace(pod, terminating=terminating)
        deployment = a_deployment(mark=template)
        snapshot = a_look(
            a_mixture(),
            an_expert("pirate"),
            an_expert("formal"),
            pods=(pod,),
            deployment=deployment,
            desired=self.document,
        )
        return mixtures.template_mark(snapshot, self.wanted)

    @pytest.mark.parametrize("state", [state for state in MixtureState if state is not MixtureState.NEEDS_RESTART])
    def test_pods_that_can_take_it_stay(self, state: MixtureState) -> None:
        assert self.mark(state) is None
        assert self.mark(state, template="x-1", pods="x-1") == "x-1"

    def test_pods_that_need_a_restart_are_replaced(self) -> None:
        assert self.mark(MixtureState.NEEDS_RESTART) == f"{self.wanted.revision}-7"

    def test_pods_of_an_earlier_template_are_being_replaced_already(self) -> None:
        assert self.mark(MixtureState.NEEDS_RESTART, template="x-5", pods=None) == "x-5"

    def test_what_a_pod_cannot_take_replaces_nobody_once_something_else_is_wanted(self) -> None:
        pod = a_mixing_pod(wanted=self.wanted, state=MixtureState.NEEDS_RESTART, document=self.document)
        model = a_mixture("formal", "pirate")
        look = a_look(model, pods=(pod,), deployment=a_deployment(), desired=self.document)
        other = the_mixture(a_look(model, an_expert("pirate"), an_expert("formal")))

        assert mixtures.template_mark(look, other) is None

    def test_a_pod_that_ends_by_itself_replaces_nobody(self) -> None:
        assert self.mark(MixtureState.NEEDS_RESTART, terminating=True) is None

    def test_what_a_pod_says_of_an_earlier_document_replaces_nobody(self) -> None:
        assert self.mark(MixtureState.NEEDS_RESTART, old=True) is None

    def test_a_pod_that_says_it_again_after_it_was_replaced_for_it_is_not_replaced_once_more(self) -> None:
        mark = self.mark(MixtureState.NEEDS_RESTART)

        assert self.mark(MixtureState.NEEDS_RESTART, template=mark, pods=mark) == mark

    def test_a_model_that_is_no_mixture_has_no_mark(self) -> None:
        assert mixtures.template_mark(a_snapshot(deployment=a_deployment(mark="x-1")), None) is None
