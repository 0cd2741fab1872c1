"""Adapters that are unusual and sound: each answers as PEFT does in float32, tokens and log-probabilities."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.conftest import PROMPT, TOKENS, World
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import VolumeSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.layout import GGUF_FILE
from support.edits import edit_config, edit_tensors
from support.gguf_adapters import write_gguf
from support.models import reference, tiny_adapter, tiny_base
from support.runtime_process import start_runtime

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

EXOTIC: dict[str, dict[str, Any]] = {
    "rslora": {"r": 16, "alpha": 8, "use_rslora": True, "target_modules": LINEAR},
    "all-linear": {"target_modules": LINEAR},
    "rank-and-alpha-patterns": {
        "r": 8, "alpha": 16, "target_modules": LINEAR,
        "rank_pattern": {r"layers\.1\.self_attn\.q_proj": 3, "down_proj": 2, "k_proj": 16},
        "alpha_pattern": {"^model.layers.0.self_attn.q_proj": 24, "up_proj": 5},
    },
    "patterns-with-rslora": {"use_rslora": True, "rank_pattern": {"v_proj": 2}, "alpha_pattern": {"q_proj": 3}},
    "queries-only": {"target_modules": ("q_proj",)},
    "keys-only": {"target_modules": ("k_proj",)},
    "values-only": {"target_modules": ("v_proj",)},
    "gate-only": {"target_modules": ("gate_proj",)},
    "up-only": {"target_modules": ("up_proj",)},
    "different-ranks-in-one-fused-layer": {
        "target_modules": ("q_proj", "k_proj", "v_proj"), "rank_pattern": {"q_proj": 1, "k_proj": 32},
    },
    "rank-one": {"r": 1, "alpha": 4},
    "largest-rank": {"r": 32, "alpha": 32},
    "negative-alpha": {"alpha": -6},
    "stored-as-float16": {"dtype": torch.float16},
    "stored-as-bfloat16": {"dtype": torch.bfloat16},
    "stored-as-float64": {"dtype": torch.float64},
    "embedding": {"target_modules": ("embed_tokens",)},
    "output-layer": {"target_modules": ("lm_head",)},
    "embedding-output-layer-and-queries": {"target_modules": ("embed_tokens", "lm_head", "q_proj")},
}  # fmt: skip

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning"),
    pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning"),
]


def write(folder: Path, base: Path, lora: dict[str, Any]) -> Path:
    tiny_adapter(folder, base, seed=5, **lora)
    # PEFT would put the random embeddings that stand beside this adapter in place of the base model's.
    return edit_tensors(folder, lambda tensors: [tensors.pop(n) for n in list(tensors) if "base_layer" in n])


def assert_answers_as_peft(world: World, name: str, weight: float = 1.0) -> None:
    world.serve(x=world.spec((name, weight)))
    expected = reference(world.base, [(world.adapter(name), weight)], PROMPT, TOKENS)
    answer = world.complete("x", logprobs=1).json()["choices"][0]
    assert answer["token_ids"] == list(expected.tokens)
    wanted = [float(row[token]) for row, token in zip(expected.logprobs, expected.tokens, strict=True)]
    assert answer["logprobs"]["token_logprobs"] == pytest.approx(wanted, abs=2e-4)
    assert answer["token_ids"] != world.reference(), "the adapter must be seen to act"


@pytest.mark.parametrize("name", EXOTIC)
def test_it_answers_as_peft_does(world: World, name: str) -> None:
    write(world.adapter(f"exotic-{name}"), world.base, EXOTIC[name])
    assert_answers_as_peft(world, f"exotic-{name}")


def test_a_gguf_file_answers_as_peft_does_with_what_it_was_converted_from(world: World) -> None:
    original = write(world.adapter("exotic-original"), world.base, {"target_modules": LINEAR})
    world.adapter("exotic-gguf").mkdir()
    write_gguf(original, world.base, world.adapter("exotic-gguf") / GGUF_FILE)
    world.serve(x=world.spec(("exotic-gguf", 0.7)))
    assert world.tokens("x") == world.reference(("exotic-original", 0.7)) != world.reference()


def test_targets_may_be_a_word(world: World) -> None:
    folder = write(world.adapter("exotic-word"), world.base, {"target_modules": LINEAR})
    assert_answers_as_peft(world, edit_config(folder, target_modules="all-linear").name)


def test_a_layer_may_be_left_out(world: World) -> None:
    folder = write(world.adapter("exotic-one-layer"), world.base, {"target_modules": LINEAR})
    edit_tensors(folder, lambda tensors: [tensors.pop(n) for n in list(tensors) if "layers.0." in n])
    assert_answers_as_peft(world, edit_config(folder, layers_to_transform=[1]).name)


def test_an_untrained_adapter_answers_as_the_base_model_and_says_so(world: World) -> None:
    folder = write(world.adapter("exotic-untrained"), world.base, {})
    edit_tensors(folder, lambda tensors: [t.zero_() for n, t in tensors.items() if "lora_B" in n])
    world.serve(x=world.spec(("exotic-untrained", 1.0)))
    assert world.tokens("x") == world.reference()
    [adapter] = world.runtime.inventory().adapters
    assert "it changes nothing" in adapter.revisions[0].message


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A runtime whose base has tied embeddings, and whose engine adapts some modules only."""
    folder = tmp_path_factory.mktemp("narrow")
    volumes = folder / "volumes"
    tiny_base(volumes / "models" / "base", tie_word_embeddings=True)
    flags = ("--lora-target-modules", "q_proj", "v_proj", "embed_tokens", "lm_head")
    runtime = start_runtime(folder / "pod", volumes=volumes, flags=flags)
    try:
        runtime.wait_until_ready()
        with closing(World(runtime, volumes)) as made:
            yield made
    finally:
        runtime.stop()


@pytest.mark.parametrize("target", ["q_proj", "embed_tokens", "lm_head"])
def test_with_tied_embeddings_it_answers_as_peft_does(narrow: World, target: str) -> None:
    write(narrow.adapter(target), narrow.base, {"target_modules": (target,)})
    assert_answers_as_peft(narrow, target)


@pytest.mark.parametrize(("targets", "left_out"), [
    (("o_proj", "q_proj"), "to 2 of its 4 modules: model.layers.0.self_attn.o_proj, model.layers.1.self_attn.o_proj"),
    (("gate_proj",), "to 2 of its 2 modules: model.layers.0.mlp.gate_proj"),
])  # fmt: skip
def test_what_the_engine_would_leave_out_is_refused_by_name(
    narrow: World, targets: tuple[str, ...], left_out: str
) -> None:
    write(narrow.adapter("-".join(targets)), narrow.base, {"target_modules": targets})
    response = narrow.ask(AdapterSource(volume=VolumeSource(name="adapters", path="-".join(targets))))
    assert response.refusal is not None
    assert response.refusal.reason is Reason.UNSUPPORTED_FEATURE
    assert left_out in response.refusal.message


def test_a_sibling_in_a_fused_layer_is_adapted_with_the_one_that_was_named(narrow: World) -> None:
    write(narrow.adapter("k_proj"), narrow.base, {"target_modules": ("k_proj",)})
    assert_answers_as_peft(narrow, "k_proj")
