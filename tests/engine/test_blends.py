"""Blends that are computed, as clients get them, against what PEFT makes of the same adapters."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from engine.conftest import PROMPT, TOKENS, World
from lora_api.runtime_api import BlendedPart, Part, Recipe, RevisionSpec
from lora_api.v1alpha1.adapter import Precision
from lora_api.v1alpha1.blend import BlendMethod
from support.models import greedy

PARTS = (("a", 0.9), ("b", 0.6))


def peft_made(world: World, folder: Path, combination: str, **options: Any) -> Path:
    """What PEFT's add_weighted_adapter makes and saves."""
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(world.base, dtype=torch.float32),
        world.adapter(PARTS[0][0]),
        adapter_name=PARTS[0][0],
    )
    for name, _ in PARTS[1:]:
        model.load_adapter(world.adapter(name), adapter_name=name)
    names, weights = zip(*PARTS, strict=True)
    model.base_model.add_weighted_adapter(list(names), list(weights), "made", combination, **options)
    model.save_pretrained(folder, selected_adapters=["made"], save_embedding_layers=False)
    return folder / "made"


def part(world: World, name: str, weight: float) -> Part:
    facts = world.facts(name)
    return Part(source=facts.source, digest=facts.digest, weight=weight)


@pytest.mark.parametrize(("method", "combination", "fields", "options"), [
    (BlendMethod.SVD, "svd", {"rank": 6}, {"svd_rank": 6}),
    (BlendMethod.TIES, "ties_svd", {"rank": 12, "density": 0.5}, {"svd_rank": 12, "density": 0.5}),
])  # fmt: skip
def test_a_computed_blend_answers_as_peft_s_own(
    world: World, tmp_path: Path, method: BlendMethod, combination: str, fields: dict[str, Any], options: dict[str, Any]
) -> None:
    parts = tuple(part(world, name, weight) for name, weight in PARTS)
    world.serve(x=RevisionSpec.of(parts, method, Precision.AUTO, **fields))

    expected = greedy(world.base, [(peft_made(world, tmp_path, combination, **options), 1.0)], PROMPT, TOKENS)
    assert world.tokens("x") == expected
    assert expected not in (world.reference(), world.reference(*PARTS)), "the method must be seen to act"
    (report,) = world.runtime.inventory().adapters[0].revisions
    assert report.rank == fields["rank"]
    assert report.energy is not None
    assert 0 < report.energy < 1


def test_a_blend_of_a_computed_blend_answers_as_the_sum_of_both(world: World, tmp_path: Path) -> None:
    ties = Recipe(
        parts=tuple(part(world, name, weight) for name, weight in PARTS), method=BlendMethod.TIES, rank=12, density=0.5
    )
    parts = (part(world, "rs", 0.3), BlendedPart(recipe=ties, weight=0.8))
    world.serve(x=RevisionSpec.of(parts, BlendMethod.CONCAT, Precision.AUTO))

    made = peft_made(world, tmp_path, "ties_svd", svd_rank=12, density=0.5)
    assert world.tokens("x") == greedy(world.base, [(world.adapter("rs"), 0.3), (made, 0.8)], PROMPT, TOKENS)
