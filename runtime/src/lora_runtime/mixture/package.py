"""The folder that the engine serves a mixture from: the base model's files, and beside them what the mixture adds.

`config.json` is the base model's, with `architectures` that name our class, and `xlora`: the options, the names of the experts,
and the adapted modules, whose order numbers the classifier's outputs. `xlora/mixture.safetensors` holds the matrices.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from lora_runtime.mixture.classifier import Linear
from lora_runtime.mixture.options import Options

MODEL_CONFIG = "config.json"
FIELD = "xlora"
_FOLDER = "xlora"
"""Of its own: vLLM looks for the base model's tensors in every safetensors file directly in the model's folder."""
_TENSORS = "mixture.safetensors"

_OTHER_FORMAT = ("params.json", "consolidated")
"""How Mistral's own files begin: where they are, vLLM prefers them, and would serve the plain model without a word."""

ARCHITECTURES = {
    "LlamaForCausalLM": "XLoraLlamaForCausalLM",
    "MistralForCausalLM": "XLoraMistralForCausalLM",
    "Qwen2ForCausalLM": "XLoraQwen2ForCausalLM",
}
"""By the base model's, what is registered with vLLM."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one expert adds to the output of one module: B @ A @ input; its scaling is in B."""

    a: torch.Tensor
    """`[rank, in]`."""
    b: torch.Tensor
    """`[out, rank]`."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Everything but the base model."""

    options: Options
    experts: tuple[str, ...]
    """Names, for people."""
    layers: tuple[str, ...]
    """Paths of the modules that any expert adapts, in the order of the base model's."""
    classifier: tuple[Linear, ...]
    effects: Mapping[tuple[str, int], Effect]
    """By module and number of the expert; an expert may leave a module alone."""
    trained: bool
    """Whether the classifier is; else its scalings mean nothing."""


@dataclass(frozen=True, slots=True)
class Names:
    """What is scaled, for people."""

    experts: tuple[str, ...]
    layers: tuple[str, ...]
    """Paths of modules; empty where all of them get the same."""


def write(mixture: Mixture, base: Path, folder: Path, *, scalings: bool = False) -> None:
    """Fills an empty `folder`; the base model's files are linked, not copied.

    Args:
        mixture: Everything but the base model.
        base: Its folder.
        folder: To be filled.
        scalings: Whether the engine is to tell the scalings that it uses.
    """
    config = json.loads((base / MODEL_CONFIG).read_bytes())
    [architecture] = config["architectures"]
    config["architectures"] = [ARCHITECTURES[architecture]]
    for entry in base.iterdir():
        if entry.name not in (MODEL_CONFIG, _FOLDER) and not entry.name.startswith(_OTHER_FORMAT):
            (folder / entry.name).symlink_to(entry.resolve())
    (folder / _FOLDER).mkdir()
    tensors = folder / _FOLDER / _TENSORS
    save_file(dict(_tensors(mixture)), tensors, metadata={"format": "pt"})
    # safetensors writes for the owner alone, and pods run as another user
    tensors.chmod(0o644)
    config[FIELD] = {
        "options": mixture.options.model_dump(),
        "experts": list(mixture.experts),
        "layers": list(mixture.layers),
        "trained": mixture.trained,
        "scalings": scalings,
        # vLLM keeps compiled graphs by what the configuration says, and the shapes are in the other file
        "sha256": _sha256(tensors),
    }
    # last: a folder without it is none
    (folder / MODEL_CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def keeps_scalings(folder: Path) -> bool:
    """Whether the engine is to tell the scalings that it uses."""
    return bool(_said(folder).get("scalings", False))


def names_of(folder: Path) -> Names:
    """What the scalings of a mixture are of."""
    said = _said(folder)
    each = Options.model_validate(said["options"]).layerwise_scalings
    return Names(tuple(said["experts"]), tuple(said["layers"]) if each else ())


def size_bytes(mixture: Mixture) -> int:
    """What the folder of a mixture takes on the disk, or a little less."""
    return sum(tensor.numel() * tensor.element_size() for _, tensor in _tensors(mixture))


def is_whole(folder: Path) -> bool:
    """Whether a folder is as `write` left it, and the base model's files are still where they were."""
    try:
        said = _said(folder)
        linked = all(entry.exists() for entry in folder.iterdir())
        return linked and said["sha256"] == _sha256(folder / _FOLDER / _TENSORS)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read(folder: Path) -> Mixture:
    """What `write` wrote."""
    said = _said(folder)
    options = Options.model_validate(said["options"])
    tensors = load_file(folder / _FOLDER / _TENSORS)
    layers, experts = tuple(said["layers"]), tuple(said["experts"])
    return Mixture(
        options=options,
        experts=experts,
        layers=layers,
        classifier=tuple(
            Linear(tensors[f"classifier.{number}.weight"], tensors[f"classifier.{number}.bias"])
            for number in range(options.xlora_depth)
        ),
        effects={
            (layer, number): Effect(tensors[f"{layer}.{number}.a"], tensors[f"{layer}.{number}.b"])
            for layer in layers
            for number in range(len(experts))
            if f"{layer}.{number}.a" in tensors
        },
        trained=said["trained"],
    )


def _said(folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((folder / MODEL_CONFIG).read_bytes())[FIELD]
    return said


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _tensors(mixture: Mixture) -> Sequence[tuple[str, torch.Tensor]]:
    listed = []
    for number, linear in enumerate(mixture.classifier):
        listed += [(f"classifier.{number}.weight", linear.weight), (f"classifier.{number}.bias", linear.bias)]
    for (layer, number), effect in mixture.effects.items():
        listed += [(f"{layer}.{number}.a", effect.a), (f"{layer}.{number}.b", effect.b)]
    return [(name, tensor.float().contiguous()) for name, tensor in listed]
