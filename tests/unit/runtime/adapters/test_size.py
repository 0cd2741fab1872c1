from pathlib import Path

import torch
from safetensors.torch import save_file

from lora_runtime.adapters.size import element_count


def test_elements_are_those_of_all_matrices_whatever_their_type(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(4, 16, dtype=torch.bfloat16), "b": torch.zeros(8, 4)}
    save_file(tensors, tmp_path / "x.safetensors")
    assert element_count(tmp_path / "x.safetensors") == 64 + 32
