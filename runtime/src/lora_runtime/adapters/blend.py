"""The tensors that a revision serves: what its recipe makes of trained adapters, as one adapter with scaling 1."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lora_api.runtime_api import BlendedPart, Part, Recipe, RevisionSpec
from lora_api.v1alpha1.adapter import Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.conditions import Reason
from lora_api.wire import Digest
from lora_runtime.adapters.errors import CONFIG_FILE, TENSORS_FILE, Refused, incompatible
from lora_runtime.adapters.factors import Energy, Factors, concat, merge, seed_of, svd
from lora_runtime.adapters.inspect import Inspection
from lora_runtime.adapters.tensors import Tensors, open_tensors

_DTYPES = {
    Precision.AUTO: torch.float32,
    Precision.FLOAT32: torch.float32,
    Precision.BFLOAT16: torch.bfloat16,
    Precision.FLOAT16: torch.float16,
}

_FACTS_FILE = "blend.json"
"""Beside the adapter, for us. Not the metadata of the tensors' file: safetensors writes those in any order."""


@dataclass(frozen=True, slots=True)
class Files:
    """A trained adapter on disk."""

    folder: Path
    inspection: Inspection
    """Of this very folder, and already checked against the base model."""


@dataclass(frozen=True, slots=True)
class Blended:
    """An adapter that has not been written yet."""

    tensors: dict[str, torch.Tensor]
    """By their names in the file."""
    config: dict[str, Any]
    """A PEFT LoraConfig that gives every module the scaling 1."""
    rank: int
    """Largest rank over its modules."""
    energy: float | None
    """The share of the sum of squared singular values that the recipe's rank kept; None for Concat, which cuts nothing."""


def publish(spec: RevisionSpec, files: Mapping[Digest, Files], folder: Path) -> None:
    """Writes a revision as one adapter into an existing folder.

    The same revision gives the same bytes, on every machine of one kind.

    Args:
        spec: What to make; values are rounded to its precision, once, at the end.
        files: All its leaves, by digest.
        folder: Empty.

    Raises:
        Refused: a value does not fit the precision.
        OSError, SafetensorError: the folder cannot be written.
    """
    blended = blend(spec, files, spec.precision)
    save_file(blended.tensors, folder / TENSORS_FILE, metadata={"format": "pt"})
    text = json.dumps(blended.config, indent=2, sort_keys=True) + "\n"
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
    if blended.energy is not None:
        (folder / _FACTS_FILE).write_text(json.dumps({"keptEnergy": round(blended.energy, 4)}), encoding="utf-8")


def check_fits_float16(folder: Path) -> None:
    """Holds what was published there against what an engine in float16 will round it to.

    Raises:
        Refused: a value would be infinite in the engine.
    """
    with safe_open(folder / TENSORS_FILE, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118  (not a dict)
            tensor = file.get_tensor(key)
            if not torch.isfinite(tensor.half()).all():
                remedy = "lower it, or set spec.engine.dtype of the LoRAModel to BFloat16 or Float32"
                raise _overflow(key, tensor, "an engine in float16", remedy)


def published_rank(folder: Path) -> int:
    """Largest rank over the modules of what was published there."""
    return int(json.loads((folder / CONFIG_FILE).read_bytes())["r"])


def published_energy(folder: Path) -> float | None:
    """The share that was kept of what was published there; None when nothing was to be cut."""
    try:
        return float(json.loads((folder / _FACTS_FILE).read_bytes())["keptEnergy"])
    except FileNotFoundError:
        return None


def blend(recipe: Recipe, files: Mapping[Digest, Files], precision: Precision) -> Blended:
    """Computes an adapter, one module at a time, in float32; holds the whole result in memory.

    Raises:
        Refused: a value does not fit `precision`.
    """
    inspections = [files[leaf.digest].inspection for leaf in recipe.leaves]
    modules = {module.name: module for inspection in inspections for module in inspection.modules}
    tensors: dict[str, torch.Tensor] = {}
    ranks: dict[str, int] = {}
    energy = Energy()
    with ExitStack() as stack:
        opened = {
            digest: _Opened(stack.enter_context(open_tensors(found.folder)), found.inspection)
            for digest, found in files.items()
        }
        for name in sorted(modules):
            made = _made(recipe, name, opened)
            assert made is not None  # noqa: S101  # some leaf has the module
            factors, cut = made
            energy += cut
            for matrix, tensor in (("A", factors.a), ("B", factors.b)):
                key = modules[name].key(matrix)
                tensors[key] = _rounded(key, tensor, precision)
            ranks[name] = factors.a.shape[0]
    share = None if recipe.method is BlendMethod.CONCAT else energy.share
    return Blended(tensors, _config(ranks, inspections), max(ranks.values()), share)


class _Opened:
    """The tensors of one trained adapter."""

    def __init__(self, tensors: Tensors, inspection: Inspection) -> None:
        self._tensors = tensors
        self._modules = {module.name: module for module in inspection.modules}

    def factors(self, name: str) -> Factors | None:
        module = self._modules.get(name)
        if module is None:
            return None
        a, b = (self._tensors.read(module, matrix).float() for matrix in "AB")
        return Factors(a, b, module.scaling)


def _made(recipe: Recipe, name: str, opened: Mapping[Digest, _Opened]) -> tuple[Factors, Energy] | None:
    """What a recipe does to one module; None when none of its parts adapts it."""
    found = [(_factors(part, name, opened), part.weight) for part in recipe.parts]
    terms = [(factors, weight) for factors, weight in found if factors is not None]
    if not terms:
        return None
    if recipe.rank is None:
        return concat([factors.scaled(weight) for factors, weight in terms]), Energy()
    if recipe.method is BlendMethod.SVD:
        return svd(concat([factors.scaled(weight) for factors, weight in terms]), recipe.rank)
    return merge(
        recipe.method,
        [factors for factors, _ in terms],
        [weight for _, weight in terms],
        density=recipe.density or 1.0,
        seed=seed_of(recipe.seed or 0, name),
        rank=recipe.rank,
    )


def _factors(part: Part | BlendedPart, name: str, opened: Mapping[Digest, _Opened]) -> Factors | None:
    if isinstance(part, Part):
        return opened[part.digest].factors(name)
    made = _made(part.recipe, name, opened)
    return None if made is None else made[0]


def _rounded(key: str, tensor: torch.Tensor, precision: Precision) -> torch.Tensor:
    rounded = tensor.to(_DTYPES[precision]).contiguous()
    if not torch.isfinite(rounded).all():
        raise _overflow(key, tensor, f"precision {precision.value}", "set spec.precision to BFloat16 or Auto")
    return rounded


def _overflow(key: str, tensor: torch.Tensor, what: str, remedy: str) -> Refused:
    largest = tensor.abs().max().item()
    message = f"tensor {key} at this weight has values up to {largest:.3g}, which {what} cannot hold; {remedy}"
    return incompatible(Reason.UNSUPPORTED_FEATURE, message)


def _config(ranks: dict[str, int], inspections: Sequence[Inspection]) -> dict[str, Any]:
    r = max(ranks.values())
    # anchored, because PEFT also matches a key against the end of a longer module path
    narrower = {f"^{re.escape(name)}": rank for name, rank in ranks.items() if rank != r}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": inspections[0].base_model,
        "inference_mode": True,
        "r": r,
        "lora_alpha": r,
        "use_rslora": False,
        # alpha equals rank in each module, so that its scaling is exactly 1
        "rank_pattern": narrower,
        "alpha_pattern": narrower,
        "target_modules": sorted(ranks),
        "fan_in_fan_out": any(inspection.config.fan_in_fan_out for inspection in inspections),
        "bias": "none",
        "lora_dropout": 0.0,
        "init_lora_weights": True,
    }
