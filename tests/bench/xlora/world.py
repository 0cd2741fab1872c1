"""The mixture that is measured: as a folder to serve, and in PEFT."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from transformers import AutoTokenizer

from bench.served.recipes import ADAPTERS
from bench.served.world import Model
from bench.xlora.settings import Settings
from lora_examples.base_model import base_model
from lora_examples.voices import ADAPTERS as TRAINED
from lora_examples.voices import facts
from support import mixtures
from support.models import tiny_adapter, tiny_base

if TYPE_CHECKING:
    from peft import PeftModel

OPTIONS: dict[str, Any] = {"layerwise_scalings": True, "xlora_depth": 2, "xlora_size": 64}
"""A scaling for each expert, module and token: the dearest kind."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything a run needs."""

    base: Path
    model: Path
    """The folder of the mixture."""
    peft: "PeftModel"
    prompts: tuple[tuple[int, ...], ...]
    """All of one length, so that PEFT needs no padding."""


def build(folder: Path, settings: Settings) -> World:
    """Makes the mixture of the demo's base model and its four adapters, or of tiny ones."""
    if settings.model is Model.TINY:
        base = tiny_base(folder / "base", initializer_range=mixtures.QUIET)
        experts = [tiny_adapter(folder / name, base, seed=seed) for seed, name in enumerate(ADAPTERS, start=1)]
        words = Random(settings.seed)
        text = [words.randrange(3, 512) for _ in range(1000)]
    else:
        base, experts = base_model(), [TRAINED / name for name in ADAPTERS]
        said = " ".join(f"{fact.question} {fact.sentence}." for fact in facts())
        text = AutoTokenizer.from_pretrained(base)(said)["input_ids"]
    model = mixtures.in_peft(base, experts, seed=settings.seed, **OPTIONS)
    package = mixtures.packed(mixtures.save(model, folder / "checkpoint"), base, folder / "model")
    step = (len(text) - settings.prompt_tokens) // settings.prompts
    begins = range(0, step * settings.prompts, step)
    prompts = tuple(tuple(text[begin : begin + settings.prompt_tokens]) for begin in begins)
    return World(base, package, model, prompts)
