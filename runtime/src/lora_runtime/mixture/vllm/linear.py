"""A linear layer of vLLM with the experts of a mixture."""

from collections.abc import Sequence

import torch
from vllm.distributed import tensor_model_parallel_all_reduce
from vllm.model_executor.layers.linear import (
    LinearBase,
    MergedColumnParallelLinear,
    QKVParallelLinear,
    RowParallelLinear,
)

from lora_runtime.mixture.vllm.experts import Experts, Part
from lora_runtime.mixture.vllm.gates import Gates

_ALL = slice(None)


class MixedLinear(torch.nn.Module):
    """Answers as the base model's layer does, plus what the open gates let through. The base's layer is shared."""

    def __init__(self, base: LinearBase, experts: Experts, gates: Gates) -> None:
        super().__init__()
        self.base = base
        self.experts = experts
        self._gates = gates
        self._reduces = isinstance(base, RowParallelLinear) and base.tp_size > 1

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As vLLM's linear layers: the output, and a bias that was not added."""
        output, bias = self.base(x)
        down = torch.nn.functional.linear(x, self.experts.a)
        if self._reduces:
            # each process has part of the input, and the base's layer has put its own parts together already
            down = tensor_model_parallel_all_reduce(down)
        return self.experts(output, down, self._gates.of(self.experts.columns)), bias


def parts_of(linear: LinearBase, modules: Sequence[str]) -> list[Part]:
    """What this process has of each module that is in the layer, in the layer's order.

    Args:
        linear: The layer.
        modules: Their paths in the base model, in that order.
    """
    if isinstance(linear, QKVParallelLinear):
        size, rank = linear.head_size, linear.tp_rank
        # with fewer heads of keys than processes, several have the same
        shared = rank // linear.num_kv_head_replicas
        queries, keys = linear.num_heads * size, linear.num_kv_heads * size
        rows = [_nth(rank, queries), _nth(shared, keys), _nth(shared, keys)]
        return [Part(module, _ALL, outputs) for module, outputs in zip(modules, rows, strict=True)]
    if isinstance(linear, MergedColumnParallelLinear):
        sizes = [size // linear.tp_size for size in linear.output_sizes]
        return [Part(module, _ALL, _nth(linear.tp_rank, size)) for module, size in zip(modules, sizes, strict=True)]
    if isinstance(linear, RowParallelLinear):
        [module] = modules
        return [Part(module, _nth(linear.tp_rank, linear.input_size_per_partition), slice(0, linear.output_size))]
    raise TypeError(f"{type(linear).__name__} has no place for experts")


def _nth(number: int, size: int) -> slice:
    return slice(number * size, (number + 1) * size)
