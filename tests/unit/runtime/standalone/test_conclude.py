"""What wishes come to: the same recipes as in a cluster, and nothing served is given up for something broken."""

from typing import Any

from lora_api.recipes import revisions
from lora_api.recipes.outcome import Blocked, Wanted
from lora_api.runtime_api import AdapterFacts, Desired, Refusal, ResolveResponse, ResolveState, RevisionSpec
from lora_api.v1alpha1.adapter import LoRAAdapterSpec
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_runtime.standalone.conclude import Concluded, Limits, conclude
from lora_runtime.standalone.wish import Wish
from support.builders import a_blend, an_adapter, some_facts

LIMITS = Limits(base="smol", max_rank=64)
GONE = ResolveResponse(
    state=ResolveState.REFUSED,
    refusal=Refusal(
        condition=AdapterCondition.FETCHED, reason=Reason.SOURCE_NOT_FOUND, message="there is no folder", retryable=True
    ),
)


def a_wish(name: str, **spec: Any) -> Wish:
    return Wish(name, an_adapter(name, **spec).spec)


def found(name: str) -> ResolveResponse:
    return ResolveResponse(state=ResolveState.RESOLVED, facts=some_facts(name))


def served(concluded: Concluded) -> dict[str, RevisionSpec | None]:
    return {entry.name: entry.serve for entry in concluded.document.adapters}


def test_revisions_are_those_that_an_operator_would_make() -> None:
    pirate, mixed = an_adapter("pirate", weight=0.7), a_blend("mixed", {"pirate": 0.5})
    known: dict[str, AdapterFacts | Blocked] = {pirate.uid: some_facts("pirate")}
    expected = revisions.outcomes((pirate, mixed), {}, known, 64)

    concluded = conclude(
        [Wish("mixed", mixed.spec), Wish("pirate", pirate.spec)], {"pirate": found("pirate")}, LIMITS, None
    )

    outcomes = (expected[pirate.uid], expected[mixed.uid])
    assert all(isinstance(outcome, Wanted) for outcome in outcomes)
    assert served(concluded) == {
        "pirate": getattr(outcomes[0], "spec", None), "mixed": getattr(outcomes[1], "spec", None)
    }  # fmt: skip


def test_what_is_not_fetched_yet_is_declared_without_a_revision() -> None:
    concluded = conclude([a_wish("pirate")], {}, LIMITS, None)
    assert served(concluded) == {"pirate": None}


def test_an_adapter_whose_new_source_is_refused_goes_on_and_the_others_follow_their_wishes() -> None:
    before = conclude([a_wish("a"), a_wish("b")], {"a": found("a"), "b": found("b")}, LIMITS, None)
    after = conclude([a_wish("a"), a_wish("b", weight=0.5)], {"a": GONE, "b": found("b")}, LIMITS, before.document)
    assert served(after)["a"] == served(before)["a"]
    assert served(after)["b"] != served(before)["b"]
    assert after.document.sequence == before.document.sequence + 1
    outcome = after.outcomes["a"]
    assert isinstance(outcome, Blocked)
    assert outcome.reason is Reason.SOURCE_NOT_FOUND


def test_what_nobody_wishes_any_more_leaves_the_document() -> None:
    before = conclude([a_wish("a")], {"a": found("a")}, LIMITS, None)
    assert served(conclude([], {}, LIMITS, before.document)) == {}


def test_nothing_leaves_it_while_the_file_was_never_read() -> None:
    before = conclude([a_wish("a")], {"a": found("a")}, LIMITS, None)
    assert conclude([], {}, LIMITS, before.document, keep_others=True).document is before.document


def test_nothing_new_is_the_same_document() -> None:
    wishes, answers = [a_wish("a")], {"a": found("a")}
    before = conclude(wishes, answers, LIMITS, None)
    assert conclude(wishes, answers, LIMITS, before.document).document is before.document


def test_of_two_that_claim_a_name_the_earlier_has_it() -> None:
    wishes = [a_wish("a", servedName="x"), a_wish("b", servedName="x")]
    concluded = conclude(wishes, {"a": found("a"), "b": found("b")}, LIMITS, None)
    assert [(entry.name, entry.uid) for entry in concluded.document.adapters] == [("x", "a")]
    assert getattr(concluded.outcomes["b"], "reason", None) is Reason.NAME_CONFLICT


def test_another_object_under_the_same_served_name_inherits_nothing() -> None:
    before = conclude([a_wish("a", servedName="x")], {"a": found("a")}, LIMITS, None)
    after = conclude([a_wish("b", servedName="x")], {}, LIMITS, before.document)
    assert served(after) == {"x": None}


def test_a_rank_above_the_limit_is_refused() -> None:
    concluded = conclude([a_wish("a")], {"a": found("a")}, Limits("smol", 4), Desired())
    assert getattr(concluded.outcomes["a"], "reason", None) is Reason.RANK_TOO_LARGE


def test_a_spec_is_the_same_object_wherever_it_was_declared() -> None:
    assert isinstance(a_wish("a").spec, LoRAAdapterSpec)
