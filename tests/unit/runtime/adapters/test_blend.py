"""What is published answers as PEFT does with the same adapters at the same weights, in float32."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file

from lora_api.runtime_api import RevisionSpec
from lora_api.v1alpha1.adapter import Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_runtime.adapters.base import load_base
from lora_runtime.adapters.blend import check_fits_float16, publish
from lora_runtime.adapters.compatibility import validate
from lora_runtime.adapters.errors import CONFIG_FILE, TENSORS_FILE, Refused
from lora_runtime.adapters.inspect import inspect
from support.edits import Tensors, edit_config, edit_tensors
from support.models import reference_logprobs, tiny_adapter, tiny_base
from unit.runtime.adapters.leaves import leaves_of

PROMPT = (5, 17, 101, 33, 260, 8)
Weighted = tuple[Path, float]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


def published(parts: Sequence[Weighted], folder: Path, precision: Precision = Precision.AUTO) -> Path:
    leaves, files = leaves_of(parts)
    folder.mkdir()
    publish(RevisionSpec.of(leaves, BlendMethod.CONCAT, precision), files, folder)
    return folder


def assert_answers_as_peft(base: Path, parts: Sequence[Weighted], folder: Path) -> None:
    found = reference_logprobs(base, [(published(parts, folder), 1.0)], PROMPT)
    torch.testing.assert_close(found, reference_logprobs(base, parts, PROMPT), atol=1e-5, rtol=1e-5)


PLAIN: dict[str, Any] = {"r": 8, "alpha": 16}
RSLORA: dict[str, Any] = {"r": 4, "alpha": 6, "use_rslora": True}
PATTERNS: dict[str, Any] = {
    "r": 8,
    "alpha": 16,
    "target_modules": ["q_proj", "k_proj", "down_proj"],
    "rank_pattern": {r"layers\.1\.self_attn\.q_proj": 3, "down_proj": 2},
    "alpha_pattern": {"k_proj": 5, "^model.layers.0.self_attn.q_proj": 24},
}
RS_PATTERNS: dict[str, Any] = {**PATTERNS, "use_rslora": True}


@pytest.mark.parametrize("lora", [PLAIN, RSLORA, PATTERNS, RS_PATTERNS])
@pytest.mark.parametrize("weight", [1.0, 0.4, -1.5, 0.0])
def test_one_adapter_at_a_weight_answers_as_peft(
    base: Path, tmp_path: Path, lora: dict[str, Any], weight: float
) -> None:
    adapter = tiny_adapter(tmp_path / "a", base, seed=1, **lora)
    assert_answers_as_peft(base, [(adapter, weight)], tmp_path / "published")


@pytest.mark.parametrize("weights", [(0.7, 0.5), (1.0, -0.5), (0.0, 1.0), (0.0, 0.0)])
def test_a_blend_of_different_ranks_and_modules_answers_as_peft(
    base: Path, tmp_path: Path, weights: tuple[float, float]
) -> None:
    first = tiny_adapter(tmp_path / "a", base, seed=1, target_modules=["q_proj", "v_proj"])
    second = tiny_adapter(tmp_path / "b", base, seed=2, **RS_PATTERNS)
    assert_answers_as_peft(base, [(first, weights[0]), (second, weights[1])], tmp_path / "published")


def test_an_adapter_blended_with_itself_adds_up(base: Path, tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "a", base, seed=1)
    twice = published([(adapter, 0.25), (adapter, 0.5)], tmp_path / "twice")
    found = reference_logprobs(base, [(twice, 1.0)], PROMPT)
    torch.testing.assert_close(found, reference_logprobs(base, [(adapter, 0.75)], PROMPT), atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
def test_an_embedding_and_an_output_layer_answer_as_peft(base: Path, tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "a", base, seed=1, target_modules=["embed_tokens", "lm_head", "q_proj"])
    # PEFT would put the random embeddings that stand beside this adapter in place of the base model's
    edit_tensors(adapter, lambda tensors: [tensors.pop(n) for n in list(tensors) if "base_layer" in n])
    other = tiny_adapter(tmp_path / "b", base, seed=2)
    assert_answers_as_peft(base, [(adapter, 0.6), (other, 1.0)], tmp_path / "published")


def test_what_is_published_is_itself_a_valid_adapter_of_the_summed_rank(base: Path, tmp_path: Path) -> None:
    first = tiny_adapter(tmp_path / "a", base, seed=1, r=8)
    second = tiny_adapter(tmp_path / "b", base, seed=2, r=4, target_modules=["q_proj", "k_proj"])
    folder = published([(first, 1.0), (second, 1.0)], tmp_path / "published")

    inspection = validate(folder, load_base(base), 12)

    assert inspection.rank == 12
    assert {m.name.rsplit(".", 1)[1]: m.rank for m in inspection.modules} == {
        "q_proj": 12, "k_proj": 4, "v_proj": 8,
    }  # fmt: skip
    assert {m.scaling for m in inspection.modules} == {1.0}
    assert inspection.base_model == "tests/tiny-base"


def test_alpha_equals_r_so_that_a_loader_without_patterns_scales_by_one_too(base: Path, tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "a", base, seed=1, **PATTERNS)
    config = LoraConfig.from_pretrained(published([(adapter, 0.4)], tmp_path / "published"))
    assert (config.r, config.lora_alpha, config.use_rslora) == (8, 8, False)
    assert config.alpha_pattern == config.rank_pattern


def test_a_rank_is_published_for_its_module_alone_not_for_those_that_look_or_end_like_it(
    base: Path, tmp_path: Path
) -> None:
    ranks = {"a.b": 2, "aXb": 4, "x.a.b": 4}
    adapter = edit_config(tiny_adapter(tmp_path / "a", base, seed=1), r=4, rank_pattern={r"^a\.b": 2})

    def change(tensors: Tensors) -> None:
        tensors.clear()
        for name, rank in ranks.items():
            tensors[f"base_model.model.{name}.lora_A.weight"] = torch.ones(rank, 8)
            tensors[f"base_model.model.{name}.lora_B.weight"] = torch.ones(8, rank)

    found = inspect(published([(edit_tensors(adapter, change), 1.0)], tmp_path / "published"))
    assert {module.name: (module.rank, module.scaling) for module in found.modules} == {
        name: (rank, 1.0) for name, rank in ranks.items()
    }


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        (Precision.AUTO, torch.float32),
        (Precision.FLOAT32, torch.float32),
        (Precision.BFLOAT16, torch.bfloat16),
        (Precision.FLOAT16, torch.float16),
    ],
)
def test_the_product_is_rounded_once_to_the_precision(
    base: Path, tmp_path: Path, precision: Precision, dtype: torch.dtype
) -> None:
    adapter = tiny_adapter(tmp_path / "a", base, seed=1, dtype=torch.bfloat16)
    found = load_file(published([(adapter, 0.3)], tmp_path / "published", precision) / TENSORS_FILE)
    key = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    exact = load_file(adapter / TENSORS_FILE)[key].float() * (0.3 * 2.0)
    assert torch.equal(found[key], exact.to(dtype))


def test_a_weight_that_overflows_the_precision_is_refused(base: Path, tmp_path: Path) -> None:
    adapter = edit_config(tiny_adapter(tmp_path / "a", base, seed=1), lora_alpha=1e7)
    with pytest.raises(Refused, match=re.escape("which precision Float16 cannot hold; set spec.precision")):
        published([(adapter, 10.0)], tmp_path / "published", Precision.FLOAT16)


@pytest.mark.parametrize("precision", [Precision.AUTO, Precision.FLOAT32, Precision.BFLOAT16])
def test_a_weight_that_overflows_in_an_engine_of_float16_is_refused_with_the_tensor(
    base: Path, tmp_path: Path, precision: Precision
) -> None:
    key = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight"
    adapter = edit_tensors(tiny_adapter(tmp_path / "a", base, seed=1), lambda tensors: tensors[key].fill_(60000.0))
    found = published([(adapter, 1.0)], tmp_path / "published", precision)
    told = f"tensor {key} at this weight has values up to 1.2e+05, which an engine in float16 cannot hold; lower it"
    with pytest.raises(Refused, match=re.escape(told)):
        check_fits_float16(found)


def test_what_rounds_to_the_largest_value_of_float16_is_not_refused(base: Path, tmp_path: Path) -> None:
    key = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight"
    adapter = edit_tensors(tiny_adapter(tmp_path / "a", base, seed=1), lambda tensors: tensors[key].fill_(65519 / 2))
    check_fits_float16(published([(adapter, 1.0)], tmp_path / "published"))


def test_the_same_parts_give_the_same_bytes(base: Path, tmp_path: Path) -> None:
    parts = [(tiny_adapter(tmp_path / str(seed), base, seed=seed), 0.5) for seed in (1, 2)]
    one, two = published(parts, tmp_path / "one"), published(parts, tmp_path / "two")
    for name in (CONFIG_FILE, TENSORS_FILE):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert json.loads((one / CONFIG_FILE).read_text())["peft_type"] == "LORA"
