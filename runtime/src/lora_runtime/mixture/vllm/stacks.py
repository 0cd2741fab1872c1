"""Further runs of a decoder over the same weights."""

import copy
from typing import Any

import torch
from vllm.config import VllmConfig
from vllm.model_executor.layers.attention import Attention

from lora_runtime.mixture.package import Mixture
from lora_runtime.mixture.vllm.experts import Experts
from lora_runtime.mixture.vllm.gates import Gates
from lora_runtime.mixture.vllm.linear import MixedLinear, parts_of

_LINEARS = {
    "self_attn": {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "o_proj": ("o_proj",)},
    "mlp": {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)},
}
"""By block and linear layer of vLLM, the modules of the base model that are in it."""


class Builder:
    """Makes them of the layers that vLLM has made of the base model."""

    def __init__(self, layers: torch.nn.ModuleList, mixture: Mixture, vllm_config: VllmConfig, prefix: str) -> None:
        self._layers = layers
        self._mixture = mixture
        self._config = vllm_config
        self._prefix = prefix
        self._experts: dict[str, Experts] = {}

    def run(self, gates: Gates, *, own_attention: bool) -> torch.nn.ModuleList:
        """The same layers, with the experts that `gates` let through.

        Args:
            gates: Of this run.
            own_attention: With KV caches of its own; every run but the first needs them.
        """
        return torch.nn.ModuleList(
            self._layer(layer, index, gates, own_attention) for index, layer in enumerate(self._layers)
        )

    def _layer(self, layer: torch.nn.Module, index: int, gates: Gates, own_attention: bool) -> torch.nn.Module:
        blocks = {}
        for block, linears in _LINEARS.items():
            found = layer.get_submodule(block)
            mixed: dict[str, torch.nn.Module] = {}
            for name, modules in linears.items():
                paths = [f"model.layers.{index}.{block}.{module}" for module in modules]
                if any(path in self._mixture.layers for path in paths):
                    linear = found.get_submodule(name)
                    mixed[name] = MixedLinear(linear, self._experts_of(linear, paths), gates)
            if block == "self_attn" and own_attention:
                mixed["attn"] = self._attention(found, index)
            blocks[block] = _sharing(found, mixed)
        return _sharing(layer, blocks)

    def _experts_of(self, linear: Any, paths: list[str]) -> Experts:
        """The same for every run."""
        if paths[0] not in self._experts:
            self._experts[paths[0]] = Experts(self._mixture, parts_of(linear, paths))
        return self._experts[paths[0]]

    def _attention(self, block: Any, index: int) -> Attention:
        first: Attention = block.attn
        # the name needs one number, and one that no other attention layer has
        number = len(self._layers) + index
        return Attention(
            block.num_heads,
            block.head_dim,
            block.scaling,
            num_kv_heads=block.num_kv_heads,
            cache_config=self._config.cache_config,
            quant_config=None,
            per_layer_sliding_window=first.sliding_window,
            prefix=f"{self._prefix}.layers.{number}.self_attn.attn",
        )


def _sharing(module: torch.nn.Module, replaced: dict[str, torch.nn.Module]) -> torch.nn.Module:
    """A module of the same class and with the same submodules but these."""
    twin = copy.copy(module)
    twin._modules = {**module._modules, **replaced}
    return twin
