"""The reference that served weights and blends are held to is itself held to PEFT's own blending."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from lora_examples.weighted import Weighted
from support import models

PROMPT = [40, 50, 60, 70]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return models.tiny_base(tmp_path / "base")


def concatenated_by_peft(base: Path, adapters: list[Weighted]) -> torch.Tensor:
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapters[0][0], adapter_name="0"
    )
    model.load_adapter(adapters[1][0], adapter_name="1")
    weights = [weight for _, weight in adapters]
    model.add_weighted_adapter(["0", "1"], weights, "blend", combination_type="cat")
    model.set_adapter("blend")
    with torch.inference_mode():
        return torch.log_softmax(model.eval()(torch.tensor([PROMPT])).logits[0, -1], dim=-1)


def test_a_blend_is_the_concatenation_of_its_members_scaled_by_their_weights(base: Path, tmp_path: Path) -> None:
    plain = models.tiny_adapter(tmp_path / "plain", base, seed=1)
    stabilised = models.tiny_adapter(
        tmp_path / "stabilised", base, seed=2, r=4, use_rslora=True, rank_pattern={"v_proj": 2}
    )
    blend = [(plain, 0.7), (stabilised, 0.5)]

    answer = models.reference_logprobs(base, blend, PROMPT)

    torch.testing.assert_close(answer, concatenated_by_peft(base, blend), atol=1e-5, rtol=1e-5)


def test_an_adapter_of_weight_zero_is_the_base_model(base: Path, tmp_path: Path) -> None:
    adapter = models.tiny_adapter(tmp_path / "adapter", base, seed=1)

    silenced = models.reference_logprobs(base, [(adapter, 0.0)], PROMPT)

    torch.testing.assert_close(silenced, models.reference_logprobs(base, [], PROMPT), atol=1e-6, rtol=0)


def test_adapters_of_different_seeds_and_weights_answer_differently(base: Path, tmp_path: Path) -> None:
    one = models.tiny_adapter(tmp_path / "one", base, seed=1)
    two = models.tiny_adapter(tmp_path / "two", base, seed=2)
    served: list[list[Weighted]] = [[], [(one, 1.0)], [(one, 0.4)], [(two, 1.0)], [(one, 0.7), (two, 0.5)]]

    answers = {tuple(models.greedy(base, adapters, PROMPT, 8)) for adapters in served}

    assert len(answers) == len(served)
