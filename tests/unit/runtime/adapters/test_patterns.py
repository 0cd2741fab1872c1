"""Patterns of a configuration come from strangers: they are matched as PEFT does, within bounds of number, memory and time."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.config import AdapterConfig, Scaling
from lora_runtime.adapters.errors import Refused

MAPS = ("rank_pattern", "alpha_pattern")


def config(**patterns: Any) -> AdapterConfig:
    return AdapterConfig(r=8, lora_alpha=16, **patterns)


def named(count: int) -> dict[str, int]:
    return {f"m{number}": 4 for number in range(count)}


@pytest.mark.parametrize("field", MAPS)
def test_a_pattern_for_each_of_4096_modules_is_taken_and_one_more_refused(field: str) -> None:
    Scaling(config(**{field: named(4096)}))
    with pytest.raises(Refused, match=f"has 4097 keys in {field}; at most 4096 are matched") as caught:
        Scaling(config(**{field: named(4097)}))
    assert caught.value.refusal.reason is Reason.MALFORMED_ADAPTER


@pytest.mark.parametrize("field", MAPS)
def test_compiling_takes_of_the_time_that_all_patterns_have_together(field: str) -> None:
    clock = itertools.count(0.0, 1.0)
    with pytest.raises(Refused, match=f"has keys in {field} that take too long"):
        Scaling(config(**{field: named(100)}), lambda: next(clock))


@pytest.mark.parametrize("field", MAPS)
def test_modules_and_patterns_share_one_time_and_none_is_given_more(field: str) -> None:
    now = iter((*[0.0] * 9, *itertools.repeat(4.9, 5), *itertools.repeat(5.0, 99)))
    scaling = Scaling(config(**{field: named(8)}), lambda: next(now))
    scaling.of("m4")
    with pytest.raises(Refused, match=f"has keys in {field} that take too long to match; use module names"):
        scaling.of("m0")


@pytest.mark.parametrize("repeat", ["+", "+?", "++"])
def test_groups_repeated_within_groups_are_not_compiled_as_each_doubles_the_memory(repeat: str) -> None:
    key = "(" * 5 + "a" + f"){repeat}" * 5
    with pytest.raises(Refused, match=r"without counted repetition, extensions and more than 4 repeated groups"):
        Scaling(config(rank_pattern={key: 4}))


def test_usual_expressions_are_matched() -> None:
    scaling = Scaling(config(rank_pattern={r"layers\.(1|2)\..*(q|v)_proj": 4, r"(\d+\.)+k_proj": 2, "q_proj": 16}))
    found = {name: scaling.of(name)[0] for name in ("layers.1.q_proj", "layers.3.q_proj", "layers.3.k_proj", "o_proj")}
    assert found == {"layers.1.q_proj": 4, "layers.3.q_proj": 16, "layers.3.k_proj": 2, "o_proj": 8}
