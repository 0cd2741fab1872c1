"""PEFT adapters of a Llama as llama.cpp's convert_lora_to_gguf.py would write them, told from its source and not from our reader."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

from lora_runtime.adapters.errors import CONFIG_FILE, TENSORS_FILE
from support.edits import Tensors

F32, F16, BF16, Q8_0 = (getattr(gguf.GGMLQuantizationType, name) for name in ("F32", "F16", "BF16", "Q8_0"))

_MODULES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_TENSOR = re.compile(r"base_model\.model\.(.+)\.lora_(?:embedding_)?([AB])(?:\.weight)?")


def write_gguf(adapter: Path, base: Path, file: Path, kind: Any = F32, alpha: float | None = None) -> Path:
    """Converts the adapter of a folder; returns the file."""
    lora, model = (
        json.loads((folder / name).read_text()) for folder, name in ((adapter, CONFIG_FILE), (base, "config.json"))
    )
    heads = {"q_proj": model["num_attention_heads"], "k_proj": model["num_key_value_heads"]}
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", lora["lora_alpha"] if alpha is None else alpha)
    for key, tensor in load_file(adapter / TENSORS_FILE).items():
        match = _TENSOR.fullmatch(key)
        if match is None:
            continue  # a copy of the base model's embedding
        module, matrix = match.groups()
        name = module.rpartition(".")[2]
        if matrix == "B" and name in heads:
            tensor = _interleaved(tensor, heads[name])
        if matrix == "A" and name == "embed_tokens":
            tensor = tensor.T
        data, stored = quantized(tensor, kind)
        writer.add_tensor(f"{_gguf_name(module)}.weight.lora_{matrix.lower()}", data, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def quantized(tensor: torch.Tensor, kind: Any) -> tuple[np.ndarray[Any, Any], Any]:
    """Rows that do not fill the blocks of a type are stored as float16, as llama.cpp does it."""
    if tensor.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
        kind = F16
    return gguf.quantize(np.ascontiguousarray(tensor.float().numpy()), kind), kind


def round_as(kind: Any) -> Any:
    """An edit of PEFT's tensors: what a type leaves of them."""

    def change(tensors: Tensors) -> None:
        for key, tensor in tensors.items():
            tensors[key] = torch.from_numpy(gguf.dequantize(*quantized(tensor, kind)).copy())

    return change


def _gguf_name(module: str) -> str:
    if (found := {"model.embed_tokens": "token_embd", "lm_head": "output"}.get(module)) is not None:
        return found
    _, _, layer, rest = module.split(".", 3)
    return f"blk.{layer}.{_MODULES[rest]}"


def _interleaved(rows: torch.Tensor, heads: int) -> torch.Tensor:
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape).contiguous()
