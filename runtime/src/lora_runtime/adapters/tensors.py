"""The matrices of an adapter that was inspected, whatever file they lie in."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import torch
from safetensors import safe_open

from lora_runtime.adapters.errors import TENSORS_FILE, malformed
from lora_runtime.adapters.inspect import Inspection, ModuleKind, ModuleTensors
from lora_runtime.adapters.layout import gguf_at

_LARGEST_VALUE = 65504.0
"""The largest of float16."""


class Tensors(Protocol):
    """An open file."""

    def read(self, module: ModuleTensors, matrix: str) -> torch.Tensor:
        """One matrix, `A` or `B`, as PEFT has it."""
        ...


@contextmanager
def open_tensors(place: Path) -> Iterator[Tensors]:
    """The tensors in a folder as the store has it, or in a GGUF file, whose inspection was accepted."""
    gguf = gguf_at(place)
    if gguf is not None:
        with gguf.open("rb") as opened:
            yield _GGUF(opened)
    else:
        with safe_open(place / TENSORS_FILE, framework="pt") as file:
            yield _Safetensors(file)


def check_values(place: Path, inspection: Inspection) -> bool:
    """Reads every LoRA matrix of an inspected adapter once; returns whether any module changes anything.

    Raises:
        Refused: a tensor holds NaN, infinity, or what no training leaves.
    """
    acts = False
    with open_tensors(place) as tensors:
        for module in inspection.modules:
            strongest = [_largest(module.stored_as(matrix), tensors.read(module, matrix)) for matrix in "AB"]
            acts = acts or (min(strongest) > 0 and module.scaling != 0)
    return acts


def _largest(key: str, tensor: torch.Tensor) -> float:
    low, high = (float(end) for end in tensor.aminmax())
    largest = max(-low, high)
    if largest <= _LARGEST_VALUE:  # false for NaN, too
        return largest
    if math.isfinite(largest):
        raise malformed(
            f"tensor {key} holds values up to {largest:.3g}; no training leaves values beyond {_LARGEST_VALUE:.0f}, "
            f"and engines in float16 cannot hold them; use an earlier checkpoint"
        )
    bad = int((~torch.isfinite(tensor)).sum())
    raise malformed(
        f"tensor {key} holds {bad} values that are NaN or infinite; the training run diverged, use an earlier checkpoint"
    )


class _Safetensors:
    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, module: ModuleTensors, matrix: str) -> torch.Tensor:
        tensor: torch.Tensor = self._file.get_tensor(module.key(matrix))
        return tensor


class _GGUF:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, module: ModuleTensors, matrix: str) -> torch.Tensor:
        # its library is imported by those who have such adapters
        from lora_runtime.adapters.gguf_file.values import read_matrix

        assert module.gguf is not None  # noqa: S101  (it was inspected in this file)
        return read_matrix(self._file, module.gguf, matrix, embedding=module.kind is ModuleKind.EMBEDDING)
