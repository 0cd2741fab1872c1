from dataclasses import replace
from typing import Any

import pytest

from lora_api import labels
from lora_api.mixture_api import MixtureState
from lora_api.runtime_api import Desired
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import Condition, HuggingFaceSource
from lora_api.v1alpha1.conditions import ModelCondition, Reason
from lora_api.v1alpha1.mixture import MixtureStatus
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain import conditions, mixtures, plan
from lora_operator.domain.actions import ApplyChild, IssueCertificate, WriteDesired, WriteModelStatus
from lora_operator.domain.observed import ObservedModel, ObservedPod, Snapshot
from support.builders import NOW, a_deployment, a_digest, a_pod, unreachable
from support.mixture_builders import (
    POLICY,
    a_look,
    a_mixing_pod,
    a_mixture,
    a_trained_mixture,
    an_expert,
    the_mixture,
)

EXPERTS = an_expert("pirate"), an_expert("formal")
WANTED = the_mixture(a_look(a_mixture(), *EXPERTS))
OLD = "0000aaaa"


def status_of(*pods: ObservedPod, model: ObservedModel | None = None, **rest: Any) -> LoRAModelStatus:
    """The status after a pass over a model of which these pods are; its document is told already."""
    model = model or a_mixture(replicas=len(pods))
    look = a_look(model, *EXPERTS)
    document = Desired(sequence=1, mixture=mixtures.in_document(mixtures.outcome_of(look, POLICY), None))
    rest = {"deployment": a_deployment(len(pods)), "desired": document, "stored": document} | rest
    return written(a_look(model, *EXPERTS, pods=pods, **rest))


def written(snapshot: Snapshot) -> LoRAModelStatus:
    decided = plan.make_plan(snapshot, POLICY, NOW)
    [status] = [action.status for action in decided.actions if isinstance(action, WriteModelStatus)]
    return status


def ready(status: LoRAModelStatus) -> Condition:
    found = conditions.find(status.conditions, ModelCondition.READY)
    assert found is not None
    return found


def available(status: LoRAModelStatus) -> bool:
    return conditions.is_true(status.conditions, ModelCondition.AVAILABLE)


def test_a_mixture_is_ready_when_all_pods_serve_the_wanted_revision() -> None:
    status = status_of(a_mixing_pod("a", wanted=WANTED, layers=14), a_mixing_pod("b", wanted=WANTED))

    assert (ready(status).status, ready(status).reason) == ("True", Reason.SERVING)
    assert WANTED.revision in ready(status).message
    assert status.mixture == MixtureStatus(
        revision=WANTED.revision, serving=WANTED.revision, experts=2, layers=14, trained=False
    )
    assert status.summary.mixture == "2 experts, untrained"


def test_what_the_author_should_know_is_told_although_it_serves() -> None:
    status = status_of(a_mixing_pod(wanted=WANTED, message="the expert formal was padded"))

    assert ready(status).status == "True"
    assert "the expert formal was padded" in ready(status).message


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (MixtureState.FETCHING, Reason.FETCHING),
        (MixtureState.LOADING, Reason.LOADING),
        (MixtureState.DRAINING, Reason.LOADING),
        (MixtureState.NEEDS_RESTART, Reason.ROLLING_OUT),
    ],
)
def test_while_one_pod_serves_the_mixture_before_the_model_is_not_ready(state: MixtureState, reason: Reason) -> None:
    late = a_mixing_pod("b", wanted=WANTED, state=state, serving=OLD)
    status = status_of(a_mixing_pod("a", wanted=WANTED), late)

    assert (ready(status).status, ready(status).reason) == ("False", reason)
    assert "pod b" in ready(status).message
    assert available(status)
    assert status.mixture is not None
    assert status.mixture.serving is None, "the pods serve two"


def test_a_mixture_that_a_pod_refuses_is_told_in_its_words_while_the_one_before_is_served() -> None:
    message = "the experts pirate and formal have unlike shapes in q_proj"
    bad = a_mixing_pod(
        wanted=WANTED, state=MixtureState.FAILED, serving=OLD, reason=Reason.SHAPE_MISMATCH, message=message
    )
    status = status_of(bad)

    assert (ready(status).status, ready(status).reason) == ("False", Reason.SHAPE_MISMATCH)
    assert message in ready(status).message
    assert f"{OLD} is served meanwhile" in ready(status).message
    assert available(status)
    assert status.mixture is not None
    assert (status.mixture.revision, status.mixture.serving) == (WANTED.revision, OLD)


def test_a_mixture_that_was_never_served_is_told_in_the_words_of_the_pod_that_is_not_ready() -> None:
    bad = a_mixing_pod(
        wanted=WANTED, state=MixtureState.FAILED, ready=False, reason=Reason.MALFORMED_ADAPTER, message="no classifier"
    )
    status = status_of(bad, deployment=a_deployment(1, ready=0))

    assert (ready(status).reason, available(status)) == (Reason.MALFORMED_ADAPTER, False)
    assert "no classifier" in ready(status).message


def test_a_pod_that_does_not_answer_may_serve_anything() -> None:
    status = status_of(a_mixing_pod("a", wanted=WANTED), a_pod("b", inventory=unreachable()))

    assert ready(status).reason == Reason.POD_UNREACHABLE


def test_what_a_pod_says_of_another_mixture_is_not_taken_for_the_wanted_one() -> None:
    other = the_mixture(a_look(a_mixture("formal"), an_expert("formal")))
    failed = a_mixing_pod(wanted=other, state=MixtureState.FAILED, serving=OLD, message="bad")
    status = status_of(failed)

    assert ready(status).reason == Reason.LOADING
    assert "has not begun" in ready(status).message


def test_a_rejected_mixture_is_not_accepted_but_its_pods_are_looked_after() -> None:
    model = a_mixture("pirate", "formal")
    snapshot = a_look(model, an_expert("pirate"), an_expert("formal", model=a_mixture()))
    status = written(snapshot)
    child = {"kind": "Deployment", "metadata": {"name": "smol", "annotations": {labels.TEMPLATE_HASH: "x"}}}
    decided = plan.make_plan(snapshot, POLICY, NOW, (child,), certificate=IssueCertificate("it is due"))

    assert ready(status).reason == Reason.MODEL_IS_MIXTURE
    assert not conditions.is_true(status.conditions, ModelCondition.ACCEPTED)
    assert {ApplyChild, IssueCertificate} <= {type(action) for action in decided.actions}


def test_a_mixture_whose_expert_is_gone_is_served_on_and_rejected() -> None:
    document = Desired(sequence=4, mixture=WANTED)
    snapshot = a_look(
        a_mixture(),
        EXPERTS[0],
        pods=(a_mixing_pod(wanted=WANTED),),
        deployment=a_deployment(1),
        desired=document,
        stored=document,
    )
    decided = plan.make_plan(snapshot, POLICY, NOW)

    assert not [action for action in decided.actions if isinstance(action, WriteDesired)]
    assert ready(written(snapshot)).reason == Reason.MEMBER_NOT_FOUND
    assert available(written(snapshot))


def test_the_source_that_a_pod_tells_is_pinned_and_then_stays() -> None:
    commit = AdapterSource(hugging_face=HuggingFaceSource(repo="team/voices", revision="1" * 40))
    model = a_trained_mixture()
    told: dict[str, Any] = {
        "source": commit,
        "digest": a_digest("voices"),
        "experts": ("0", "1", "2"),
        "trained": True,
        "layers": 9,
    }
    first = status_of(a_mixing_pod(wanted=the_mixture(a_look(model)), **told), model=model)
    later = a_trained_mixture(status=first)
    second = status_of(a_mixing_pod(wanted=the_mixture(a_look(later)), **told | {"digest": a_digest("x")}), model=later)

    for status in (first, second):
        assert status.mixture is not None
        assert (status.mixture.resolved_source, status.mixture.digest) == (commit, a_digest("voices"))
        assert status.summary.mixture == "3 experts, trained"


def test_files_that_a_pod_refuses_are_not_pinned() -> None:
    model = a_trained_mixture()
    bad = a_mixing_pod(
        wanted=the_mixture(a_look(model)),
        state=MixtureState.FAILED,
        source=AdapterSource(hugging_face=HuggingFaceSource(repo="team/voices", revision="1" * 40)),
        digest=a_digest("voices"),
        reason=Reason.MALFORMED_ADAPTER,
    )
    status = status_of(bad, model=model)

    assert status.mixture is not None
    assert status.mixture.digest is None


def test_files_of_a_mixture_that_pods_cannot_take_as_they_run_are_pinned_like_those_that_they_serve() -> None:
    model = a_trained_mixture()
    sound = a_mixing_pod(
        wanted=the_mixture(a_look(model)),
        state=MixtureState.NEEDS_RESTART,
        serving=OLD,
        source=AdapterSource(hugging_face=HuggingFaceSource(repo="team/voices", revision="1" * 40)),
        digest=a_digest("voices"),
    )
    status = status_of(sound, model=model)

    assert status.mixture is not None
    assert status.mixture.digest == a_digest("voices")


def test_what_was_pinned_for_one_source_is_not_taken_for_another() -> None:
    told: dict[str, Any] = {
        "source": AdapterSource(hugging_face=HuggingFaceSource(repo="team/voices", revision="1" * 40)),
        "digest": a_digest("voices"),
    }
    first = a_trained_mixture()
    pinned = status_of(a_mixing_pod(wanted=the_mixture(a_look(first)), **told), model=first)
    served = the_mixture(a_look(a_trained_mixture(status=pinned)))
    pod, document = a_mixing_pod(wanted=served, **told), Desired(sequence=2, mixture=served)
    rest: dict[str, Any] = {"pods": (pod,), "deployment": a_deployment(), "desired": document, "stored": document}
    private = {"huggingFace": {"repo": "team/other"}, "credentialsRef": {"name": "not-mounted"}}
    for place in ({"huggingFace": {"repo": "team/other"}}, private):
        other = written(a_look(a_trained_mixture(status=pinned, **place), **rest))

        assert other.mixture is not None
        assert (other.mixture.source_hash, other.mixture.digest, other.mixture.resolved_source) == (None, None, None)


def test_what_was_told_of_one_mixture_is_not_told_of_the_next() -> None:
    told = LoRAModelStatus(mixture=MixtureStatus(revision=OLD, experts=9, layers=14, trained=True))
    status = status_of(model=a_trained_mixture(status=told))

    assert status.mixture is not None
    assert (status.mixture.experts, status.mixture.layers, status.mixture.trained) == (0, 0, None)


def test_a_pod_that_ends_has_no_say() -> None:
    leaving = a_mixing_pod("b", wanted=WANTED, state=MixtureState.FAILED, message="no memory")
    status = status_of(
        a_mixing_pod("a", wanted=WANTED, state=MixtureState.DRAINING, serving=OLD), replace(leaving, terminating=True)
    )

    assert ready(status).reason == Reason.LOADING
    assert "no memory" not in ready(status).message


def test_a_pod_that_only_starts_is_not_what_the_model_waits_for_a_mixture_in() -> None:
    starting = a_pod("b", ready=False)
    status = status_of(a_mixing_pod("a", wanted=WANTED), starting, deployment=a_deployment(2, ready=1))

    assert ready(status).reason == Reason.MODEL_LOADING


def test_what_was_told_of_a_mixture_stays_while_no_pod_runs() -> None:
    told = LoRAModelStatus(mixture=MixtureStatus(revision=WANTED.revision, experts=2, layers=14, trained=False))
    status = status_of(model=a_mixture(replicas=0, status=told), deployment=a_deployment(0))

    assert status.mixture is not None
    assert (status.mixture.layers, status.mixture.serving) == (14, None)
    assert status.summary.mixture == "2 experts, untrained"
