from datetime import timedelta

from lora_api import labels
from lora_api.recipes.outcome import Blocked
from lora_api.runtime_api import AdapterFacts, ResolveResponse, ResolveState
from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.conditions import Reason
from lora_operator.domain import facts
from lora_operator.domain.observed import ObservedAdapter, Resolution
from support.builders import (
    NOW,
    a_digest,
    a_pod,
    a_refusal,
    a_resolution,
    a_snapshot,
    an_adapter,
    some_facts,
    unreachable,
)


def remembering(adapter: ObservedAdapter, found: AdapterFacts) -> LoRAAdapterStatus:
    return LoRAAdapterStatus(
        source_hash=facts.source_hash(adapter),
        resolved_source=found.source,
        digest=found.digest,
        rank=found.rank,
        size_bytes=found.size_bytes,
    )


def test_the_question_changes_with_the_source_the_pin_and_the_refresh_annotation_only() -> None:
    plain = an_adapter()
    others = [
        an_adapter(source={"huggingFace": {"repo": "team/pirate", "revision": "v2"}}),
        an_adapter(digest=a_digest("other")),
        an_adapter(annotations={labels.REFRESH: "1"}),
    ]
    same = [an_adapter(weight=0.5), an_adapter(generation=7), an_adapter(annotations={"note": "x"})]

    assert len({facts.source_hash(adapter) for adapter in [plain, *others]}) == 4
    assert {facts.source_hash(adapter) for adapter in same} == {facts.source_hash(plain)}


def test_a_restarted_operator_knows_the_facts_from_the_status() -> None:
    found = some_facts()
    adapter = an_adapter(status=remembering(an_adapter(), found))

    assert facts.facts_of(adapter, a_snapshot(adapter)) == found


def test_facts_of_an_earlier_source_are_not_those_of_the_new_one() -> None:
    old = remembering(an_adapter(), some_facts())
    adapter = an_adapter(source={"huggingFace": {"repo": "team/other"}}, status=old)
    snapshot = a_snapshot(adapter, pods=(a_pod(),), resolutions={adapter.meta.uid: a_resolution(an_adapter())})

    known = facts.facts_of(adapter, snapshot)

    assert isinstance(known, Blocked)
    assert known.reason is Reason.FETCHING


def test_a_pods_answer_gives_the_facts() -> None:
    adapter = an_adapter()
    snapshot = a_snapshot(adapter, resolutions={adapter.meta.uid: a_resolution(adapter)})

    assert facts.facts_of(adapter, snapshot) == some_facts("pirate")


def test_a_refusal_blocks_with_the_pods_own_words() -> None:
    adapter = an_adapter()
    snapshot = a_snapshot(adapter, resolutions={adapter.meta.uid: a_refusal(adapter, Reason.SHAPE_MISMATCH)})

    known = facts.facts_of(adapter, snapshot)

    assert isinstance(known, Blocked)
    assert (known.reason, known.message, known.waiting) == (Reason.SHAPE_MISMATCH, "it does not fit", False)


def test_a_download_tells_how_far_it_is() -> None:
    adapter = an_adapter()
    answer = ResolveResponse(state=ResolveState.FETCHING, bytes_done=25, bytes_total=100)
    resolution = Resolution(facts.source_hash(adapter), answer, attempts=1)

    known = facts.facts_of(adapter, a_snapshot(adapter, resolutions={adapter.meta.uid: resolution}))

    assert isinstance(known, Blocked)
    assert known.waiting
    assert "25% of 100 bytes" in known.message


def test_while_the_asked_pod_does_not_answer_nothing_is_known_to_be_wrong() -> None:
    adapter = an_adapter()
    resolution = Resolution(facts.source_hash(adapter), unreachable(), 1, NOW + timedelta(seconds=1))

    known = facts.facts_of(adapter, a_snapshot(adapter, resolutions={adapter.meta.uid: resolution}))

    assert isinstance(known, Blocked)
    assert known.waiting
    assert "connection refused" in known.message


def test_without_a_pod_that_answers_the_model_is_not_available() -> None:
    adapter = an_adapter()
    pods = (a_pod("gone", terminating=True), a_pod("deaf", inventory=unreachable()), a_pod("new", ip=""))

    known = facts.facts_of(adapter, a_snapshot(adapter, pods=pods))

    assert isinstance(known, Blocked)
    assert known.reason is Reason.MODEL_NOT_AVAILABLE
    assert known.waiting
    assert "no pod of model smol answers yet" in known.message
