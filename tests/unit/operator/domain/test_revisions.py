import pytest

from lora_api.recipes import revisions
from lora_api.recipes.outcome import Blocked, Outcome, Rejected, Wanted
from lora_api.runtime_api import AdapterFacts
from lora_api.v1alpha1.adapter import Precision, Verify
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_operator.domain.observed import ObservedAdapter
from support.builders import a_blend, a_digest, an_adapter, some_facts

FETCHING = Blocked(AdapterCondition.FETCHED, Reason.FETCHING, "a pod is fetching the files", waiting=True)
MISFIT = Blocked(AdapterCondition.COMPATIBLE, Reason.SHAPE_MISMATCH, "it does not fit")


def outcomes(
    *adapters: ObservedAdapter,
    known: dict[str, AdapterFacts | Blocked] | None = None,
    rejected: dict[str, Rejected] | None = None,
    max_rank: int = 64,
) -> dict[str, Outcome]:
    """By name; files named like their adapter where a test says nothing else."""
    all_known: dict[str, AdapterFacts | Blocked] = {
        adapter.meta.uid: (known or {}).get(adapter.meta.name, some_facts(adapter.meta.name))
        for adapter in adapters
        if adapter.spec.blend is None
    }
    by_uid = {f"uid-{name}": value for name, value in (rejected or {}).items()}
    found = revisions.outcomes(adapters, by_uid, all_known, max_rank)
    return {adapter.meta.name: found[adapter.meta.uid] for adapter in adapters}


def weights(outcome: Outcome) -> dict[str, float]:
    assert isinstance(outcome, Wanted)
    return {leaf.digest: leaf.weight for leaf in outcome.spec.leaves}


def test_a_trained_adapter_is_one_part_with_its_own_weight() -> None:
    outcome = outcomes(an_adapter("pirate", weight=0.7, precision="BFloat16"))["pirate"]

    assert weights(outcome) == {a_digest("pirate"): 0.7}
    assert isinstance(outcome, Wanted)
    assert outcome.spec.precision is Precision.BFLOAT16
    assert (outcome.rank, outcome.size_bytes) == (8, 1000)


def test_the_parts_are_pinned() -> None:
    outcome = outcomes(an_adapter("pirate"))["pirate"]

    assert isinstance(outcome, Wanted)
    assert outcome.spec.leaves[0].source == some_facts("pirate").source


def test_another_weight_is_another_revision_and_the_same_wish_is_the_same() -> None:
    first, again, other = (outcomes(an_adapter("pirate", weight=weight))["pirate"] for weight in (1.0, 1.0, 0.4))

    assert first == again
    assert isinstance(first, Wanted)
    assert isinstance(other, Wanted)
    assert first.spec.revision != other.spec.revision


def test_in_a_blend_all_weights_on_the_way_down_are_multiplied() -> None:
    found = outcomes(
        an_adapter("pirate", weight=0.5),
        a_blend("inner", {"pirate": 0.5}, weight=2),
        a_blend("outer", {"inner": 3}, weight=0.1),
    )

    assert weights(found["outer"]) == pytest.approx({a_digest("pirate"): 0.5 * 0.5 * 2 * 3 * 0.1})


def test_a_blend_adds_up_ranks_and_sizes() -> None:
    outcome = outcomes(an_adapter("a"), an_adapter("b"), a_blend("both", {"a": 1, "b": 1}))["both"]

    assert isinstance(outcome, Wanted)
    assert (outcome.rank, outcome.size_bytes) == (16, 2000)


def test_the_same_files_on_two_ways_are_one_part_with_the_weights_added() -> None:
    found = outcomes(
        an_adapter("leaf"),
        a_blend("left", {"leaf": 0.25}),
        a_blend("right", {"leaf": 0.5}),
        a_blend("top", {"left": 1, "right": 1}),
    )

    assert weights(found["top"]) == {a_digest("leaf"): 0.75}
    assert isinstance(found["top"], Wanted)
    assert found["top"].rank == 8


def test_moving_a_member_within_the_spec_is_no_new_revision() -> None:
    a, b = an_adapter("a"), an_adapter("b")

    one = outcomes(a, b, a_blend("both", {"a": 1, "b": 2}))["both"]
    other = outcomes(a, b, a_blend("both", {"b": 2, "a": 1}))["both"]

    assert one == other


def test_a_changed_weight_of_a_member_is_a_new_revision_of_the_blend() -> None:
    before = outcomes(an_adapter("a", weight=1), a_blend("both", {"a": 1}))["both"]
    after = outcomes(an_adapter("a", weight=0.5), a_blend("both", {"a": 1}))["both"]

    assert weights(before) == {a_digest("a"): 1}
    assert weights(after) == {a_digest("a"): 0.5}


def test_the_precision_is_that_of_the_outermost() -> None:
    outcome = outcomes(an_adapter("a", precision="Float16"), a_blend("both", {"a": 1}, precision="Float32"))["both"]

    assert isinstance(outcome, Wanted)
    assert outcome.spec.precision is Precision.FLOAT32


def test_a_blend_above_the_models_rank_says_the_sum_the_limit_and_what_to_do() -> None:
    known: dict[str, AdapterFacts | Blocked] = {"a": some_facts("a", rank=40), "b": some_facts("b", rank=40)}

    outcome = outcomes(an_adapter("a"), an_adapter("b"), a_blend("both", {"a": 1, "b": 1}), known=known)["both"]

    assert isinstance(outcome, Blocked)
    assert (outcome.condition, outcome.reason) == (AdapterCondition.COMPATIBLE, Reason.RANK_TOO_LARGE)
    assert "members' ranks add up to 80, above the model's spec.adapters.maxRank 64" in outcome.message
    assert "raise it" in outcome.message
    assert "set spec.blend.method to SVD" in outcome.message


def test_an_adapter_above_the_models_rank_is_incompatible() -> None:
    outcome = outcomes(an_adapter("a"), max_rank=4)["a"]

    assert isinstance(outcome, Blocked)
    assert (outcome.condition, outcome.reason) == (AdapterCondition.COMPATIBLE, Reason.RANK_TOO_LARGE)
    assert "rank is 8" in outcome.message


def test_a_blend_waits_for_a_member_that_is_still_fetched() -> None:
    outcome = outcomes(an_adapter("a"), a_blend("both", {"a": 1}), known={"a": FETCHING})["both"]

    assert isinstance(outcome, Blocked)
    assert (outcome.condition, outcome.reason) == (AdapterCondition.FETCHED, Reason.MEMBER_NOT_READY)
    assert outcome.waiting
    assert "member a is not ready: Fetching" in outcome.message


def test_a_blend_of_blends_names_the_member_at_fault() -> None:
    found = outcomes(
        an_adapter("bad"), a_blend("inner", {"bad": 1}), a_blend("outer", {"inner": 1}), known={"bad": MISFIT}
    )

    outer = found["outer"]
    assert isinstance(outer, Blocked)
    assert not outer.waiting
    assert "member bad is not ready: ShapeMismatch: it does not fit" in outer.message


def test_a_blend_of_a_rejected_member_is_blocked() -> None:
    refused = {"a": Rejected(Reason.VOLUME_NOT_MOUNTED, "add it")}

    outcome = outcomes(an_adapter("a"), a_blend("both", {"a": 1}), rejected=refused)["both"]

    assert isinstance(outcome, Blocked)
    assert "member a is not ready: VolumeNotMounted" in outcome.message


def test_a_very_long_chain_of_blends_is_no_problem() -> None:
    chain = [an_adapter("b0"), *(a_blend(f"b{n}", {f"b{n - 1}": 1}) for n in range(1, 3000))]

    assert weights(outcomes(*reversed(chain))["b2999"]) == {a_digest("b0"): 1}


def test_an_adapter_of_just_the_models_rank_is_wanted() -> None:
    assert isinstance(outcomes(an_adapter("a"), max_rank=8)["a"], Wanted)


def test_weights_that_multiply_beyond_reason_are_refused_and_never_become_not_a_number() -> None:
    chain = [an_adapter("a0", weight=10)]
    chain += [a_blend(f"a{i}", {f"a{i - 1}": 10}, weight=10) for i in range(1, 170)]
    found = outcomes(*chain, a_blend("zero", {"a168": 1, "a169": -1}))
    refused = found["a3"]

    assert isinstance(refused, Blocked)
    assert "multiply to 1e+07, beyond 1e+06" in refused.message
    assert isinstance(found["zero"], Blocked)


def test_what_an_adapter_must_answer_goes_with_its_revision_and_is_no_part_of_its_name() -> None:
    plain = outcomes(an_adapter("a"))["a"]
    checked = outcomes(an_adapter("a", verify={"prompt": "Hello", "contains": "Ahoy"}))["a"]
    assert isinstance(plain, Wanted)
    assert isinstance(checked, Wanted)
    assert checked.spec.verify == Verify(prompt="Hello", contains="Ahoy")
    assert checked.spec.model_copy(update={"verify": None}) == plain.spec


def test_a_blend_must_answer_what_it_says_itself_and_not_what_its_members_say() -> None:
    member = an_adapter("a", verify={"prompt": "Hello", "contains": "Ahoy"})
    own = {"prompt": "Hello", "contains": "Moin"}
    found = outcomes(member, a_blend("plain", {"a": 0.5}), a_blend("checked", {"a": 0.5}, verify=own))
    verifies = {name: outcome.spec.verify for name, outcome in found.items() if isinstance(outcome, Wanted)}
    assert verifies == {
        "a": Verify(prompt="Hello", contains="Ahoy"),
        "plain": None,
        "checked": Verify(prompt="Hello", contains="Moin"),
    }
