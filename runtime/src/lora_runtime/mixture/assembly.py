"""Makes a mixture of a base model, adapters as its experts, and a classifier: trained, or yet to be."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.base import BaseModel
from lora_runtime.adapters.compatibility import validate
from lora_runtime.adapters.errors import incompatible, malformed, shown, unsupported
from lora_runtime.adapters.inspect import Inspection
from lora_runtime.adapters.tensors import open_tensors
from lora_runtime.mixture.checkpoint import options_of, read_checkpoint
from lora_runtime.mixture.classifier import Linear, shape_of, untrained
from lora_runtime.mixture.options import Options
from lora_runtime.mixture.package import ARCHITECTURES, MODEL_CONFIG, Effect, Mixture

EMBEDDING = "model.embed_tokens"
"""As wide as the hidden states that the classifier reads; so named in every architecture that is served."""
MAX_RANK = 512
"""Of an expert; as vLLM's own bound for adapters."""


def from_checkpoint(
    folder: Path,
    base: BaseModel,
    replaced: Mapping[str, Any] = MappingProxyType({}),
    experts: Sequence[Path] | None = None,
) -> Mixture:
    """A trained X-LoRA, as PEFT saved it.

    Args:
        folder: With its configuration and classifier.
        base: What it was trained on.
        replaced: Options, by PEFT's names, that replace the checkpoint's.
        experts: Their folders in order; 0, 1, … inside of `folder` when unset.

    Raises:
        Refused: it cannot be served on this base model; says why.
    """
    checkpoint = read_checkpoint(folder, experts)
    options = options_of({**checkpoint.options.model_dump(), **replaced})
    return _assembled(base, options, checkpoint.experts, checkpoint.classifier)


def from_adapters(
    experts: Mapping[str, Path],
    options: Options,
    base: BaseModel,
    *,
    seed: int = 0,
    weights: Mapping[str, float] = MappingProxyType({}),
) -> Mixture:
    """Adapters by name, in order, with a classifier that has learnt nothing: to be trained, or to try what it costs.

    Args:
        experts: Folders by name.
        options: With the shape of the classifier.
        base: What they were trained on.
        seed: Of the classifier.
        weights: Scale the effects of experts; 1 where unset.

    Raises:
        Refused: they cannot be served on this base model; says why.
    """
    return _assembled(base, options, experts, None, seed, weights)


def check_base(folder: Path) -> None:
    """Whether a mixture can be made of a base model at all.

    Raises:
        Refused: its architecture is not known, or its weights are quantised.
    """
    config = json.loads((folder / MODEL_CONFIG).read_bytes())
    if (found := config.get("architectures")) not in [[name] for name in ARCHITECTURES]:
        raise unsupported(
            f"X-LoRA is served on {', '.join(ARCHITECTURES)}; the base model says {shown(json.dumps(found))}"
        )
    if config.get("quantization_config"):
        raise unsupported("the base model is quantised; X-LoRA has not been held against PEFT there, use a plain one")


def _assembled(
    base: BaseModel,
    options: Options,
    experts: Mapping[str, Path],
    classifier: Sequence[Linear] | None,
    seed: int = 0,
    weights: Mapping[str, float] = MappingProxyType({}),
) -> Mixture:
    if options.top_k_lora is not None and options.top_k_lora > len(experts):
        raise malformed(f"top_k_lora is {options.top_k_lora}, but there are {len(experts)} experts")
    inspected = {name: validate(place, base, MAX_RANK) for name, place in experts.items()}
    adapted = {module.name for inspection in inspected.values() for module in inspection.modules}
    # the order in which PEFT numbers them; a classifier with outputs for each layer depends on it
    layers = tuple(name for name in base.modules if name in adapted)
    for name, inspection in inspected.items():
        _refuse_outside_of_the_decoder(name, inspection)
    if (hidden := base.modules[EMBEDDING].out_features) != options.hidden_size:
        raise incompatible(
            Reason.SHAPE_MISMATCH,
            f"hidden_size is {options.hidden_size}, but the base model's is {hidden}; the classifier reads its hidden states",
        )
    shape = shape_of(options, experts=len(experts), layers=len(layers))
    if classifier is None:
        made = untrained(shape, seed)
    else:
        made = tuple(classifier)
        found = [tuple(linear.weight.shape) for linear in made]
        if found != list(shape.layers) or any(linear.bias.shape != linear.weight.shape[:1] for linear in made):
            raise incompatible(
                Reason.SHAPE_MISMATCH,
                f"the classifier has layers {found}, but {len(experts)} experts on {len(layers)} modules of this base model "
                f"need {list(shape.layers)}, [out, in] each",
            )
    effects = {}
    for number, (name, place) in enumerate(experts.items()):
        with open_tensors(place) as tensors:
            for module in inspected[name].modules:
                a, b = tensors.read(module, "A").float(), tensors.read(module, "B").float()
                effects[module.name, number] = Effect(a, b * (module.scaling * weights.get(name, 1.0)))
    return Mixture(options, tuple(experts), layers, made, effects, trained=classifier is not None)


def _refuse_outside_of_the_decoder(name: str, inspection: Inspection) -> None:
    for module in inspection.modules:
        if ".layers." not in f".{module.name}":
            raise unsupported(
                f"expert {shown(name)} adapts {module.name}; X-LoRA mixes the linear layers of attention and MLP, so train it "
                f"with those as target_modules"
            )
