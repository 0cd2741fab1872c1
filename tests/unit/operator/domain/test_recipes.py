"""The algebra of blends: what is flattened, what is not, what costs rank, and who follows whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_api.recipes import revisions
from lora_api.recipes.outcome import Blocked, Outcome, Wanted
from lora_api.runtime_api import BlendedPart, Part, Recipe
from lora_api.v1alpha1.adapter import Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_operator.domain.observed import ObservedAdapter
from support.builders import a_blend, a_digest, an_adapter, some_facts

SVD = {"method": "SVD"}
TIES = {"method": "TIES"}
DARE = {"method": "DARE"}


def outcomes(*adapters: ObservedAdapter, rank: int = 8, max_rank: int = 64) -> dict[str, Outcome]:
    """By name; every trained adapter has files of its own, all of one rank."""
    known = {
        adapter.meta.uid: some_facts(adapter.meta.name, rank=rank) for adapter in adapters if adapter.spec.blend is None
    }
    found = revisions.outcomes(adapters, {}, known, max_rank)
    return {adapter.meta.name: found[adapter.meta.uid] for adapter in adapters}


def wanted(outcome: Outcome) -> Wanted:
    assert isinstance(outcome, Wanted), outcome
    return outcome


def tree(recipe: Recipe) -> Any:
    """The recipe as nested tuples, in an order that a reader can know: method, then parts and weights by name."""
    names = {a_digest(name): name for name in "abc"}
    parts = ((names[p.digest] if isinstance(p, Part) else tree(p.recipe), p.weight) for p in recipe.parts)
    return recipe.method.value, tuple(sorted(parts, key=str))


def of(method: str, *parts: tuple[Any, float]) -> Any:
    """What `tree` says of it."""
    return method, tuple(sorted(parts, key=str))


def made(name: str, *adapters: ObservedAdapter, **limits: int) -> Recipe:
    return wanted(outcomes(*adapters, **limits)[name]).spec


A, B, C = an_adapter("a"), an_adapter("b"), an_adapter("c")


@pytest.mark.parametrize("outer", ["Concat", "SVD"])
def test_a_sum_inside_a_sum_is_one_sum(outer: str) -> None:
    inner = a_blend("inner", {"a": 2, "b": 1})
    recipe = made("outer", A, B, inner, a_blend("outer", {"inner": 0.5, "a": 1}, how={"method": outer}))
    assert tree(recipe) == of(outer, ("a", 2.0), ("b", 0.5))


def test_weights_of_equal_files_add_up_to_the_same_in_any_order() -> None:
    ways = [a_blend(f"w{n}", {"a": weight}) for n, weight in enumerate((0.1, 0.2, 0.3))]
    one, other = (
        made("m", A, *ways, a_blend("m", dict.fromkeys(names, 1.0)))
        for names in (("w0", "w1", "w2"), ("w2", "w1", "w0"))
    )
    assert one == other


@pytest.mark.parametrize("how", [SVD, TIES, DARE])
@pytest.mark.parametrize("outer", ["Concat", "SVD"])
def test_a_blend_that_is_cut_stays_whole_inside_a_sum(how: dict[str, str], outer: str) -> None:
    inner = a_blend("inner", {"a": 2, "b": 1}, how=how, weight=3)
    recipe = made("outer", A, B, inner, a_blend("outer", {"inner": 0.5, "a": 1}, how={"method": outer}, weight=2))

    within = of(how["method"], ("a", 6.0), ("b", 3.0))
    assert tree(recipe) == of(outer, ("a", 2.0), (within, 1.0))
    assert [leaf.digest for leaf in recipe.leaves].count(a_digest("a")) == 2


@pytest.mark.parametrize("how", [TIES, DARE])
def test_a_merge_sees_each_member_as_it_is_served(how: dict[str, str]) -> None:
    half = an_adapter("b", weight=0.5)
    both = a_blend("both", {"a": 1, "b": 1})
    recipe = made("m", A, half, both, a_blend("m", {"a": 0.7, "b": 2, "both": 1}, how=how, weight=10))

    weighted = of("Concat", ("b", 0.5))
    summed = of("Concat", ("a", 1.0), ("b", 0.5))
    assert tree(recipe) == of(how["method"], ("a", 7.0), (weighted, 20.0), (summed, 10.0))


def test_in_a_merge_two_members_of_equal_files_have_two_votes() -> None:
    known = {"uid-a": some_facts("same"), "uid-b": some_facts("same")}
    merge, total = a_blend("m", {"a": 0.5, "b": 0.7}, how=TIES), a_blend("s", {"a": 0.5, "b": 0.7})
    found = revisions.outcomes((A, B, merge, total), {}, known, 64)

    assert [part.weight for part in wanted(found["uid-m"]).spec.parts] == [0.5, 0.7]
    assert [part.weight for part in wanted(found["uid-s"]).spec.parts] == [1.2]


@pytest.mark.parametrize("how", [{}, SVD, TIES, DARE])
def test_a_member_of_weight_zero_costs_no_rank_and_changes_nothing(how: dict[str, str]) -> None:
    silent = an_adapter("c", weight=0)
    with_zeros = made("m", A, B, silent, a_blend("m", {"a": 1, "b": 0, "c": 1}, how=how))
    without = made("m", A, B, silent, a_blend("m", {"a": 1}, how=how))
    assert with_zeros == without


def test_weights_that_cancel_out_cost_no_rank() -> None:
    inner = a_blend("inner", {"a": 1, "b": 1})
    outcome = outcomes(A, B, inner, a_blend("m", {"inner": 1, "a": -1}))["m"]
    assert tree(wanted(outcome).spec) == of("Concat", ("b", 1.0))
    assert wanted(outcome).rank == 8


@pytest.mark.parametrize("how", [{}, SVD, TIES, DARE])
def test_when_all_weights_are_zero_an_adapter_of_no_effect_is_left(how: dict[str, str]) -> None:
    outcome = wanted(outcomes(A, B, a_blend("m", {"a": 0, "b": 0}, how=how))["m"])
    assert [(type(part), part.weight) for part in outcome.spec.parts] == [(Part, 0.0)]
    assert (outcome.spec.method, outcome.rank) == (BlendMethod.CONCAT, 8)


@pytest.mark.parametrize("how", [SVD, TIES, DARE])
@pytest.mark.parametrize(("limits", "asked", "rank"), [
    ({}, None, 16), ({"max_rank": 12}, None, 12), ({}, 5, 5), ({"max_rank": 12}, 12, 12),
])  # fmt: skip
def test_the_rank_is_in_the_recipe(how: dict[str, Any], limits: dict[str, int], asked: int | None, rank: int) -> None:
    fields = how | ({} if asked is None else {"rank": asked})
    outcome = wanted(outcomes(A, B, a_blend("m", {"a": 1, "b": 1}, how=fields), **{"rank": 8, **limits})["m"])
    assert (outcome.spec.rank, outcome.rank) == (rank, rank)


def test_svd_never_has_more_rank_than_there_is_to_keep_and_a_merge_may() -> None:
    svd, ties = (made("m", A, B, a_blend("m", {"a": 1, "b": 1}, how=how | {"rank": 40})) for how in (SVD, TIES))
    assert (svd.rank, ties.rank) == (16, 40)


def test_a_rank_above_the_models_is_refused_with_both_ways_out() -> None:
    outcome = outcomes(A, B, a_blend("m", {"a": 1, "b": 1}, how=SVD | {"rank": 65}))["m"]
    assert isinstance(outcome, Blocked)
    assert (outcome.condition, outcome.reason) == (AdapterCondition.COMPATIBLE, Reason.RANK_TOO_LARGE)
    assert "spec.blend.rank is 65, above the model's spec.adapters.maxRank 64; lower it, or raise it" in outcome.message


def test_a_concatenation_counts_a_cut_member_with_its_own_rank() -> None:
    inner = a_blend("inner", {"a": 1, "b": 1}, how=SVD | {"rank": 3})
    assert wanted(outcomes(A, B, C, inner, a_blend("m", {"inner": 1, "c": 1}))["m"]).rank == 11


def test_what_is_not_said_is_decided_once_for_all_pods() -> None:
    ties, dare, svd = (made("m", A, B, a_blend("m", {"a": 1, "b": 1}, how=how)) for how in (TIES, DARE, SVD))
    assert (ties.density, ties.seed) == (0.5, None)
    assert (dare.density, dare.seed) == (0.5, 0)
    assert (svd.density, svd.seed) == (None, None)


@pytest.mark.parametrize("changed", [
    DARE | {"rank": 4}, DARE | {"density": 0.4}, DARE | {"seed": 1}, TIES, SVD, {},
])  # fmt: skip
def test_whatever_decides_the_bytes_makes_another_revision(changed: dict[str, Any]) -> None:
    before, after = (
        wanted(outcomes(A, B, a_blend("m", {"a": 1, "b": 1}, how=how))["m"]).spec.revision for how in (DARE, changed)
    )
    assert before != after


def test_a_change_deep_inside_a_blend_of_blends_makes_another_revision() -> None:
    def revision(rank: int) -> str:
        inner = a_blend("inner", {"a": 1, "b": 1}, how=SVD | {"rank": rank})
        return wanted(outcomes(A, B, C, inner, a_blend("m", {"inner": 1, "c": 1}))["m"]).spec.revision

    assert revision(3) == revision(3) != revision(4)


def test_the_result_inside_a_blend_is_not_rounded_to_the_members_precision() -> None:
    inner = a_blend("inner", {"a": 1, "b": 1}, how=SVD, precision="Float16")
    revision = wanted(outcomes(A, B, inner, a_blend("m", {"inner": 1}, precision="BFloat16"))["m"]).spec
    assert revision.precision is Precision.BFLOAT16
    assert isinstance(revision.parts[0], BlendedPart)
    assert type(revision.parts[0].recipe) is Recipe


def test_blends_of_blends_that_multiply_are_refused_instead_of_filling_the_document() -> None:
    chain = [A, *(a_blend(f"m{n}", {("a" if n == 0 else f"m{n - 1}"): 1}, how=TIES) for n in range(9))]
    found = outcomes(*chain)
    assert isinstance(found["m7"], Wanted)
    deepest = found["m8"]
    assert isinstance(deepest, Blocked)
    assert "comes down to 1 trained adapters in 9 steps" in deepest.message


# -- whatever is declared ----------------------------------------------------------------------------------------------

WEIGHTS = st.sampled_from([-2.0, -0.5, 0.0, 0.1, 0.7, 1.0, 3.0])
POSITIVE = st.sampled_from([0.1, 0.5, 0.7, 1.0, 2.0])
METHODS = st.sampled_from(["Concat", "SVD", "TIES", "DARE"])
TRAINED = ("t0", "t1", "t2")


@st.composite
def declared(draw: Callable[..., Any], weights: st.SearchStrategy[float], methods: Any) -> tuple[ObservedAdapter, ...]:
    """Three trained adapters, and up to five blends, each of what stands before it."""
    found = [an_adapter(name, weight=draw(weights)) for name in TRAINED]
    for n in range(draw(st.integers(1, 5))):
        names = draw(st.lists(st.sampled_from([a.meta.name for a in found]), min_size=1, max_size=4, unique=True))
        members = {name: draw(weights) for name in names}
        found.append(a_blend(f"b{n}", members, how={"method": draw(methods)}, weight=draw(weights)))
    return tuple(found)


def members_of(adapter: ObservedAdapter) -> dict[str, float]:
    blend = adapter.spec.blend
    return {} if blend is None else {m.adapter_ref.name: m.weight for m in blend.members}


@settings(deadline=None)
@given(declared(WEIGHTS, st.just("Concat")))
def test_a_sum_of_sums_has_the_weight_of_every_way_down(adapters: tuple[ObservedAdapter, ...]) -> None:
    effects: dict[str, dict[str, float]] = {}
    for adapter in adapters:
        inside = members_of(adapter)
        effects[adapter.meta.name] = {
            leaf: adapter.spec.weight
            * (
                sum(weight * effects[m].get(leaf, 0.0) for m, weight in inside.items())
                if inside
                else leaf == adapter.meta.name
            )
            for leaf in TRAINED
        }
    for name, outcome in outcomes(*adapters).items():
        weights = {leaf.digest: leaf.weight for leaf in wanted(outcome).spec.leaves}
        for leaf in TRAINED:
            assert weights.get(a_digest(leaf), 0.0) == pytest.approx(effects[name][leaf], abs=1e-9)


@settings(deadline=None)
@given(declared(WEIGHTS, METHODS), st.randoms(use_true_random=False))
def test_the_order_of_adapters_and_members_decides_nothing(adapters: tuple[ObservedAdapter, ...], random: Any) -> None:
    def shuffled(items: Iterable[Any]) -> list[Any]:
        listed = list(items)
        random.shuffle(listed)
        return listed

    moved = [
        adapter
        if adapter.spec.blend is None
        else a_blend(
            adapter.meta.name,
            dict(shuffled(members_of(adapter).items())),
            how={"method": adapter.spec.blend.method},
            weight=adapter.spec.weight,
        )
        for adapter in adapters
    ]
    assert outcomes(*shuffled(moved)) == outcomes(*adapters)


@settings(deadline=None)
@given(declared(POSITIVE, METHODS), st.data())
def test_a_changed_member_re_blends_exactly_its_dependants(
    adapters: tuple[ObservedAdapter, ...], data: st.DataObject
) -> None:
    changed = data.draw(st.sampled_from([adapter.meta.name for adapter in adapters]))
    after = [
        an_adapter(a.meta.name, **a.spec.model_dump(mode="json", by_alias=True, exclude_none=True) | {"weight": 3.3})
        if a.meta.name == changed
        else a
        for a in adapters
    ]
    dependants = {changed}
    for adapter in adapters:
        if dependants & members_of(adapter).keys():
            dependants.add(adapter.meta.name)

    old, new = (
        {name: wanted(outcome).spec for name, outcome in outcomes(*declared, max_rank=512).items()}
        for declared in (adapters, after)
    )
    assert {name for name in old if old[name] != new[name]} == dependants
    assert {name for name in old if old[name].revision != new[name].revision} == dependants


@settings(deadline=None)
@given(declared(WEIGHTS, METHODS))
def test_every_recipe_survives_the_way_to_a_pod(adapters: tuple[ObservedAdapter, ...]) -> None:
    for outcome in outcomes(*adapters, max_rank=512).values():
        spec = wanted(outcome).spec
        assert type(spec).model_validate_json(spec.canonical()) == spec
