"""What changes when, and what may be asked meanwhile."""

import math
from collections import Counter
from random import Random

import pytest

from bench.served.choice import TooFewPrompts, usable_prompts
from bench.served.recipes import BASE, EVERY, recipe
from bench.served.reference import Expected
from bench.swap.plan import NAMES, REBORN, Kind, Swaps, many_names

A, B = recipe(pirate=1.0), recipe(pirate=0.5)


def an_answer(*tokens: int, margin: float = math.inf) -> Expected:
    return Expected(tokens, margin)


def test_every_change_changes_something_and_all_kinds_come() -> None:
    names = (*NAMES, REBORN)
    served = {name.name: name.pool[0] for name in names}
    swaps = Swaps(names, served, Random(0))
    kinds: Counter[Kind] = Counter()
    for _ in range(200):
        swap = swaps.next()
        assert swap.recipe != served[swap.name]
        served[swap.name] = swap.recipe
        kinds[swap.kind] += 1
    assert set(kinds) == set(Kind)
    assert served["steady"] == NAMES[-1].pool[0], "a name without kinds never changes"


def test_names_take_turns() -> None:
    names = [name for name in (*NAMES, REBORN) if name.kinds]
    swaps = Swaps(names, {name.name: name.pool[0] for name in names}, Random(1))
    assert {swaps.next().name for _ in names} == {name.name for name in names}


def test_more_names_than_an_engine_holds_each_have_recipes_of_their_own() -> None:
    names = many_names(12)
    assert len({name.name for name in names}) == 12
    assert all(len(set(name.pool)) == 3 for name in names)


def test_every_recipe_has_its_own_name() -> None:
    assert len({str(made) for made in (BASE, *EVERY)}) == len(EVERY) + 1


def test_a_prompt_is_usable_when_all_recipes_answer_it_clearly_and_differently() -> None:
    references = {
        A: (an_answer(1), an_answer(1), an_answer(1, margin=0.001), an_answer(4), an_answer(6)),
        B: (an_answer(2), an_answer(1), an_answer(3), an_answer(5), an_answer(7)),
    }
    assert usable_prompts([A, B], references) == [0, 3, 4]


def test_recipes_that_cannot_be_told_apart_are_refused() -> None:
    references = {A: (an_answer(1),) * 8, B: (an_answer(1),) * 8}
    with pytest.raises(TooFewPrompts, match=r"only 0 of 8 prompts tell pirate 1, pirate 0\.5 apart"):
        usable_prompts([A, B], references)
