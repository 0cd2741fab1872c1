"""The tensors that a revision serves: one or more adapters at their weights, as one adapter with scaling 1."""

import json
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lora_api.v1alpha1.adapter import Precision
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import CONFIG_FILE, TENSORS_FILE, incompatible
from lora_runtime.adapters.inspect import Inspection, ModuleTensors

_DTYPES = {
    Precision.AUTO: torch.float32,
    Precision.FLOAT32: torch.float32,
    Precision.BFLOAT16: torch.bfloat16,
    Precision.FLOAT16: torch.float16,
}


@dataclass(frozen=True, slots=True)
class BlendPart:
    """One adapter in a sum."""

    folder: Path
    inspection: Inspection
    """Of this very folder, and already checked against the base model."""
    weight: float


@dataclass(frozen=True, slots=True)
class Blended:
    """An adapter that has not been written yet."""

    tensors: dict[str, torch.Tensor]
    """By their names in the file."""
    config: dict[str, Any]
    """A PEFT LoraConfig that gives every module the scaling 1."""
    rank: int
    """Largest rank over its modules."""


def publish(parts: Sequence[BlendPart], precision: Precision, folder: Path) -> int:
    """Writes the weighted sum of `parts` as one adapter into an existing folder; returns its rank.

    The same parts, weights and precision give the same bytes, on every machine.

    Raises:
        Refused: a value does not fit `precision`.
        OSError, SafetensorError: the folder cannot be written.
    """
    blended = concat(parts, precision)
    save_file(blended.tensors, folder / TENSORS_FILE, metadata={"format": "pt"})
    text = json.dumps(blended.config, indent=2, sort_keys=True) + "\n"
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
    return blended.rank


def concat(parts: Sequence[BlendPart], precision: Precision) -> Blended:
    """The exact weighted sum: A matrices stacked, and B matrices, times weight and scaling, side by side.

    All is computed in float32 and rounded once. Holds the whole result in memory.

    Raises:
        Refused: a value does not fit `precision`.
    """
    tensors: dict[str, torch.Tensor] = {}
    ranks: dict[str, int] = {}
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(part.folder / TENSORS_FILE, framework="pt")) for part in parts]
        terms: dict[str, list[tuple[Any, float, ModuleTensors]]] = {}
        for file, part in zip(files, parts, strict=True):
            for module in part.inspection.modules:
                terms.setdefault(module.name, []).append((file, part.weight * module.scaling, module))
        for name in sorted(terms):
            a = torch.cat([file.get_tensor(m.key("A")).float() for file, _, m in terms[name]], dim=0)
            b = torch.cat([file.get_tensor(m.key("B")).float() * s for file, s, m in terms[name]], dim=1)
            module = terms[name][0][2]
            tensors[module.key("A")] = _rounded(module.key("A"), a, precision)
            tensors[module.key("B")] = _rounded(module.key("B"), b, precision)
            ranks[name] = a.shape[0]
    return Blended(tensors, _config(ranks, [part.inspection for part in parts]), max(ranks.values()))


def _rounded(key: str, tensor: torch.Tensor, precision: Precision) -> torch.Tensor:
    rounded = tensor.to(_DTYPES[precision]).contiguous()
    if not torch.isfinite(rounded).all():
        raise incompatible(
            Reason.UNSUPPORTED_FEATURE,
            f"tensor {key} at this weight has values up to {tensor.abs().max().item():.3g}, which precision "
            f"{precision.value} cannot hold; set spec.precision to BFloat16 or Auto",
        )
    return rounded


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
