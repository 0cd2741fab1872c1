"""The classifier under ``examples/mixture``: it fits the demo's adapters, and each way of asking lights its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig

from lora_examples import asking, checkpoint, train_mixture
from lora_examples.asking import EXPERTS
from lora_examples.base_model import BASE_MODEL, base_model
from lora_examples.voices import VOICES
from lora_runtime.adapters.base import load_base
from lora_runtime.mixture import assembly

if TYPE_CHECKING:
    from lora_runtime.mixture.package import Mixture

_SMALL = 300_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    checkpoint.assemble(folder)
    return folder


@pytest.fixture(scope="module")
def read(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    """As a pod reads it, which has a base model of the shapes of SmolLM2-135M."""
    shapes = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("shapes")
    shapes.save_pretrained(folder)
    return assembly.from_checkpoint(whole, load_base(folder))


def test_it_is_small_enough_to_live_in_the_tree_and_the_experts_lie_there_once() -> None:
    files = {file.name: file.stat().st_size for file in checkpoint.HEAD.iterdir()}
    assert files.keys() == {"adapter_config.json", "adapter_model.safetensors"}
    assert sum(files.values()) < _SMALL


def test_it_names_its_base_and_its_experts_by_their_public_names() -> None:
    config = json.loads((checkpoint.HEAD / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == BASE_MODEL
    assert config["adapters"] == {str(number): name for number, name in enumerate(EXPERTS)}
    assert set(EXPERTS) == set(VOICES)


def test_a_pod_takes_it_with_the_adapters_of_today(read: Mixture) -> None:
    assert read.trained
    assert len(read.experts) == len(EXPERTS)
    assert len(read.layers) == 60, "q_proj and v_proj of thirty layers"


def test_a_pod_may_read_every_file_of_it(whole: Path) -> None:
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in whole.rglob("*") if file.is_file())


def test_what_it_is_judged_by_is_not_what_it_was_trained_on() -> None:
    learned = asking.to_learn()
    judged = asking.other_questions() + asking.other_words()
    assert {one.fact.question for one in judged}.isdisjoint(one.fact.question for one in learned)
    assert {one.text for one in judged}.isdisjoint(one.text for one in learned)
    unknown = {ways[-1] for ways in asking.WAYS.values()}
    assert not any(one.text == way.format(question=one.fact.question) for one in learned for way in unknown)


@pytest.mark.slow
def test_each_way_of_asking_lights_its_own_expert_even_in_words_that_it_does_not_know() -> None:
    base = AutoModelForCausalLM.from_pretrained(base_model(), dtype=torch.float32)
    model = train_mixture.mixture(base).eval()
    head = load_file(checkpoint.HEAD / "adapter_model.safetensors")
    assert not model.load_state_dict(head, strict=False).unexpected_keys
    right, by_voice = train_mixture.share(model, asking.other_words()[: 2 * len(EXPERTS)])
    assert right == 1
    assert all(by_voice[name][number] > 0.5 for number, name in enumerate(EXPERTS)), by_voice
