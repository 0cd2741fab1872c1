"""Edits of an adapter's files, so that a test says only what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from lora_runtime.adapters.errors import CONFIG_FILE, TENSORS_FILE

Tensors = dict[str, torch.Tensor]


def edit_config(folder: Path, **changes: Any) -> Path:
    """Sets fields of adapter_config.json."""
    path = folder / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def edit_tensors(folder: Path, change: Callable[[Tensors], object]) -> Path:
    """Changes the tensors in place."""
    tensors = load_file(folder / TENSORS_FILE)
    change(tensors)
    save_file(tensors, folder / TENSORS_FILE)
    return folder
