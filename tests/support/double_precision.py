"""vLLM in float64, for telling an error from rounding. A plugin of vLLM's, loaded by the servers that are started with it.

vLLM's kernels for CPUs have no float64: attention and norms are computed by torch here, and linear layers fall back to torch by
themselves. The decoder, its two runs, the experts and the classifier are those that are served.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from vllm.config import model as model_config
from vllm.model_executor.layers.layernorm import RMSNorm
from vllm.v1.attention.backends.cpu_attn import (
    CPUAttentionBackend,
    CPUAttentionBackendImpl,
    CPUAttentionMetadata,
    CPUAttentionMetadataBuilder,
)
from vllm.v1.attention.backends.registry import AttentionBackendEnum, register_backend
from vllm.v1.sample.sampler import Sampler

if TYPE_CHECKING:
    from vllm.v1.attention.backend import CommonAttentionMetadata

FLAGS = ("--dtype=float", '--compilation-config={"custom_ops": ["-rotary_embedding"]}')
"""The latter: rotary embeddings by torch, too."""
_NAME = "double_precision"
_TESTS = Path(__file__).resolve().parents[1]


def environment(folder: Path, *plugins: str) -> Mapping[str, str]:
    """What a server is started with; the plugin is installed in a folder that other processes do not look into."""
    installed = folder / f"{_NAME}-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_NAME}\nVersion: 0\n", encoding="utf-8")
    (installed / "entry_points.txt").write_text(f"[vllm.general_plugins]\n{_NAME} = {__name__}:register\n", "utf-8")
    path = (str(folder), str(_TESTS), *filter(None, [os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": os.pathsep.join(path), "VLLM_PLUGINS": ",".join((*plugins, _NAME))}


def register() -> None:
    """`--dtype=float` means float64 in this process."""
    model_config._STR_DTYPE_TO_TORCH_DTYPE["float"] = torch.float64
    register_backend(AttentionBackendEnum.CPU_ATTN, f"{__name__}.Backend")
    RMSNorm.forward_native = _norm
    Sampler.compute_logprobs = staticmethod(partial(torch.log_softmax, dim=-1))


def _norm(norm: RMSNorm, x: torch.Tensor, residual: torch.Tensor | None = None) -> Any:
    total = x if residual is None else x + residual
    found = torch.nn.functional.rms_norm(total, total.shape[-1:], norm.weight, norm.variance_epsilon)
    return found if residual is None else (found, total)


class _Builder(CPUAttentionMetadataBuilder):  # type: ignore[misc]
    def build(
        self, common_prefix_len: int, common_attn_metadata: CommonAttentionMetadata, fast_build: bool = False
    ) -> CPUAttentionMetadata:
        common = common_attn_metadata
        return CPUAttentionMetadata(
            common.num_actual_tokens,
            common.max_query_len,
            common.query_start_loc,
            common.max_seq_len,
            common.seq_lens,
            common.block_table_tensor,
            common.slot_mapping,
            scheduler_metadata=None,
        )


class _Attention(CPUAttentionBackendImpl):  # type: ignore[misc]
    """Causal, over the whole of what came before."""

    def do_kv_cache_update(
        self, layer: Any, key: torch.Tensor, value: torch.Tensor, kv_cache: torch.Tensor, slot_mapping: torch.Tensor
    ) -> None:
        count, size = len(slot_mapping), kv_cache.shape[2]
        kv_cache[slot_mapping // size, :, slot_mapping % size] = torch.cat([key[:count], value[:count]], dim=-1)

    def forward(
        self, layer: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, kv_cache: torch.Tensor,
        attn_metadata: CPUAttentionMetadata | None, output: torch.Tensor, **_: Any,
    ) -> torch.Tensor:  # fmt: skip
        if attn_metadata is None:
            return output
        starts = attn_metadata.query_start_loc.tolist()
        for request, length in enumerate(attn_metadata.seq_lens.tolist()):
            mine = slice(starts[request], starts[request + 1])
            blocks = kv_cache[attn_metadata.block_table[request, : -(-length // kv_cache.shape[2])]]
            keys, values = blocks.transpose(0, 1).flatten(1, 2)[:, :length].chunk(2, dim=-1)
            seen = torch.arange(length)[None] <= torch.arange(length - mine.stop + mine.start, length)[:, None]
            found = torch.nn.functional.scaled_dot_product_attention(
                query[mine].transpose(0, 1)[None], keys[None], values[None], seen, scale=self.scale, enable_gqa=True
            )
            output[mine] = found[0].transpose(0, 1).reshape(output[mine].shape)
        return output


class Backend(CPUAttentionBackend):  # type: ignore[misc]
    """In the place of vLLM's own."""

    supported_dtypes: ClassVar[list[torch.dtype]] = [torch.float64]

    @staticmethod
    def get_impl_cls() -> type[_Attention]:
        return _Attention

    @staticmethod
    def get_builder_cls() -> type[_Builder]:
        return _Builder
