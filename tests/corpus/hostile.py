"""What a hostile or broken adapter is made of: a sound adapter of the tiny base, damaged in one way."""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import CONFIG_FILE, TENSORS_FILE
from support.edits import Tensors, edit_config, edit_tensors
from support.models import tiny_adapter

Damage = Callable[[Path], object]
"""Takes the folder of a sound adapter and damages it."""

PREFIX = "base_model.model."
LAYER = "model.layers.0"
Q_PROJ, V_PROJ = f"{PREFIX}{LAYER}.self_attn.q_proj", f"{PREFIX}{LAYER}.self_attn.v_proj"


@dataclass(frozen=True, slots=True)
class Hostile:
    """One adapter that must be refused, and what its author must be told."""

    name: str
    reason: Reason
    says: tuple[str, ...]
    """What the message must name: the tensor, field or file, and what is wrong with it."""
    damage: Damage
    path: str = ""
    """What a source would say to get it; its own folder when empty."""

    def write(self, folder: Path, base: Path) -> None:
        """Writes it into a folder that does not exist yet."""
        tiny_adapter(folder, base, seed=1)
        self.damage(folder)


def config(**changes: Any) -> Damage:
    """Sets fields of adapter_config.json."""
    return lambda folder: edit_config(folder, **changes)


def config_text(content: str | bytes) -> Damage:
    """Replaces adapter_config.json."""
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / CONFIG_FILE).write_bytes(data)


def tensors(change: Callable[[Tensors], object]) -> Damage:
    """Changes the tensors."""
    return lambda folder: edit_tensors(folder, change)


def put(name: str, tensor: torch.Tensor) -> Damage:
    """Adds or replaces a tensor."""
    return tensors(lambda found: found.update({name: tensor}))


def pair(module: str, a: tuple[int, int], b: tuple[int, int]) -> Damage:
    """Adds or replaces both matrices of a module."""
    return tensors(
        lambda found: found.update({f"{module}.lora_A.weight": torch.ones(a), f"{module}.lora_B.weight": torch.ones(b)})
    )


def drop(name: str) -> Damage:
    """Takes a tensor away."""
    return tensors(lambda found: found.pop(name))


def renamed(old: str, new: str) -> Damage:
    """Replaces a part of every tensor's name."""

    def change(found: Tensors) -> None:
        for name in [name for name in found if old in name]:
            found[name.replace(old, new)] = found.pop(name)

    return tensors(change)


def bytes_of(content: bytes) -> Damage:
    """Replaces adapter_model.safetensors."""
    return lambda folder: (folder / TENSORS_FILE).write_bytes(content)


def safetensors_file(header: dict[str, Any] | bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A file with any header, true or not, and a length of it that may lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(
    shape: tuple[int, ...] = (8, 128), begin: int = 0, end: int | None = None, dtype: str = "F32"
) -> dict[str, Any]:
    """One tensor in a header."""
    if end is None:
        end = begin + 4 * int(torch.Size(shape).numel())
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
