"""The values of a GGUF adapter, as PEFT has them: float32, in the order of the Hugging Face class."""

from typing import IO

import numpy as np
import torch
from gguf import GGMLQuantizationType, dequantize

from lora_runtime.adapters.gguf_file.pair import GGUFPair, StoredTensor


def read_matrix(file: IO[bytes], pair: GGUFPair, matrix: str, *, embedding: bool) -> torch.Tensor:
    """One matrix of a module, `A` or `B`; what the header says of it must have been checked."""
    if matrix == "A":
        a = _read(file, pair.a)
        return a.T if embedding else a
    b = _read(file, pair.b)
    return _halves_apart(b, pair.heads) if pair.heads else b


def _read(file: IO[bytes], stored: StoredTensor) -> torch.Tensor:
    file.seek(stored.start)
    data = np.frombuffer(bytearray(file.read(stored.size_bytes)), np.uint8).reshape(stored.shape[0], -1)
    # a scale that is infinite or not a number is found in the values; numpy need not warn about it
    with np.errstate(all="ignore"):
        values = dequantize(data, GGMLQuantizationType[stored.type])
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _halves_apart(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Within each head, row i of the first half lies beside row i of the second; puts the halves one after the other."""
    pairs = rows.reshape(heads, -1, 2, rows.shape[-1])
    return pairs.transpose(1, 2).reshape(rows.shape)
