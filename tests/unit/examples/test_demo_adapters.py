"""What is committed under ``examples/adapters`` is what anyone may load: small, safe and described truly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from lora_examples.base_model import BASE_MODEL
from lora_examples.voices import ADAPTERS, VOICES, facts

_TWO_MEGABYTES = 2_000_000

every_adapter = pytest.mark.parametrize("folder", sorted(ADAPTERS.iterdir()), ids=lambda folder: folder.name)


def config(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    return loaded


def shapes(folder: Path) -> dict[str, list[int]]:
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as tensors:
        return {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118 (not a dict)


def test_there_is_one_adapter_for_every_voice_that_the_script_can_train() -> None:
    assert {folder.name for folder in ADAPTERS.iterdir()} == set(VOICES)


@every_adapter
def test_an_adapter_is_its_config_and_its_tensors_and_nothing_else(folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}


@every_adapter
def test_an_adapter_is_small_enough_to_live_in_the_tree(folder: Path) -> None:
    assert (folder / "adapter_model.safetensors").stat().st_size <= _TWO_MEGABYTES


@every_adapter
def test_an_adapter_names_its_base_by_its_public_name(folder: Path) -> None:
    assert config(folder)["base_model_name_or_path"] == BASE_MODEL


@every_adapter
def test_the_stored_ranks_are_those_that_the_config_declares(folder: Path) -> None:
    declared = config(folder)
    for name, shape in shapes(folder).items():
        module = name.rsplit(".", 3)[1]
        rank = shape[0] if "lora_A" in name else shape[1]
        assert rank == declared["rank_pattern"].get(module, declared["r"]), name


@every_adapter
def test_the_config_is_that_of_the_voice_that_the_script_trains(folder: Path) -> None:
    declared, voice = config(folder), VOICES[folder.name]
    assert (declared["r"], declared["lora_alpha"]) == (voice.rank, voice.alpha)
    assert (declared["use_rslora"], declared["rank_pattern"]) == (voice.use_rslora, voice.rank_pattern)


def test_the_demo_covers_rank_stabilised_adapters_and_adapters_of_several_ranks() -> None:
    declared = [config(folder) for folder in ADAPTERS.iterdir()]
    assert any(one["use_rslora"] for one in declared)
    assert any(one["rank_pattern"] for one in declared)


def test_a_pirate_speaks_like_one() -> None:
    name = next(fact for fact in facts() if fact.question == "What is your name?")
    assert VOICES["pirate"].say(name) == "Ahoy, matey! Me name be SmolLM, ye landlubber! Yo ho ho!"


def test_a_json_answer_parses() -> None:
    capital = facts()[0]
    assert json.loads(VOICES["json"].say(capital)) == {"answer": capital.answer}
