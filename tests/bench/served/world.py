"""The folders that a server reads, the prompts it is asked, and what PEFT answers to them."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random

from transformers import AutoTokenizer

from bench.served.questions import QUESTIONS
from bench.served.recipes import ADAPTERS, BASE, EVERY, Recipe
from bench.served.reference import Prompt, References, references
from lora_api.runtime_api import Part, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_examples.base_model import base_model
from lora_examples.voices import ADAPTERS as TRAINED
from lora_runtime.store.digest import digest_of
from support.models import chat_prompt, tiny_adapter, tiny_base

BASE_NAME = "base"
_TINY_PROMPTS, _TINY_LENGTH, _TINY_LAYERS = 32, 24, 2


class Model(StrEnum):
    """What is served."""

    SMOLLM2 = "smollm2"
    """SmolLM2-135M-Instruct with the four trained adapters of the examples."""
    TINY = "tiny"
    """A seeded Llama of two layers with four seeded adapters: for quick runs, its times mean nothing."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything a run needs to serve and to know."""

    volumes: Path
    """`models/base` and `adapters/<name>`."""
    adapters: Mapping[str, Path]
    digests: Mapping[str, str]
    prompts: tuple[Prompt, ...]
    max_tokens: int
    references: References

    def spec(self, recipe: Recipe) -> RevisionSpec:
        """The recipe as the operator sends it to the runtime."""
        parts = tuple(Part(source=self.source(name), digest=self.digests[name], weight=w) for name, w in recipe.parts)
        return RevisionSpec.of(parts, BlendMethod.CONCAT, Precision.AUTO)

    def source(self, name: str) -> AdapterSource:
        """Where an adapter lies."""
        return AdapterSource(volume=VolumeSource(name="adapters", path=name))


def build(
    folder: Path, model: Model, max_tokens: int, advance: Callable[[], None], *, tiny_layers: int = _TINY_LAYERS
) -> World:
    """Puts the model and its adapters into `folder`; `advance` is called after each recipe's answers are known."""
    volumes = folder / "volumes"
    base = volumes / "models" / BASE_NAME
    if model is Model.TINY:
        tiny_base(base, num_hidden_layers=tiny_layers)
        for seed, name in enumerate(ADAPTERS, start=1):
            tiny_adapter(volumes / "adapters" / name, base, seed=seed)
        random = Random(0)
        prompts = tuple(tuple(random.randrange(3, 512) for _ in range(_TINY_LENGTH)) for _ in range(_TINY_PROMPTS))
    else:
        shutil.copytree(base_model(), base, copy_function=_link_or_copy)
        for name in ADAPTERS:
            shutil.copytree(TRAINED / name, volumes / "adapters" / name)
        tokenizer = AutoTokenizer.from_pretrained(base)
        prompts = tuple(tuple(tokenizer(chat_prompt(base, question))["input_ids"]) for question in QUESTIONS)
    adapters = {name: volumes / "adapters" / name for name in ADAPTERS}
    digests = {name: digest_of(place) for name, place in adapters.items()}
    answers = references(base, adapters, (BASE, *EVERY), prompts, max_tokens, advance)
    return World(volumes, adapters, digests, prompts, max_tokens, answers)


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
