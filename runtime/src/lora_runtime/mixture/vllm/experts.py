"""The experts of one of vLLM's linear layers, which may be several of the base model's modules in one matrix."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lora_runtime.mixture.package import Mixture


@dataclass(frozen=True, slots=True)
class Part:
    """One module of the base model in a linear layer of vLLM, as this process has it."""

    module: str
    """Path in the base model."""
    inputs: slice
    """Columns of the module's input that this process has."""
    outputs: slice
    """Rows of the module's output that this process has."""

    @property
    def width(self) -> int:
        """Outputs of this process."""
        return int(self.outputs.stop - self.outputs.start)


class Experts(torch.nn.Module):
    """All pairs of matrices for one linear layer, stacked: one multiplication with A, one with B.

    B is zero where a pair does not belong to a part: a few more multiplications, several fewer kernels.
    """

    a: torch.Tensor
    b: torch.Tensor
    columns: torch.Tensor

    def __init__(self, mixture: Mixture, parts: Sequence[Part]) -> None:
        super().__init__()
        self._parts = tuple(parts)
        a, b, columns = self._matrices(mixture)
        self.register_buffer("a", a, persistent=False)
        self.register_buffer("b", b, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, output: torch.Tensor, down: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
        """`output` with the experts' effects added; `down` is A times the input, `gates` of `[tokens, rows of A]`."""
        return torch.addmm(output, down * gates, self.b.t())

    def of(self, mixture: Mixture) -> "Experts":
        """Those of another mixture for the same layer."""
        return Experts(mixture, self._parts)

    def take(self, other: "Experts") -> None:
        """The values of others of the same shape, into the memory that compiled graphs read."""
        self.a.copy_(other.a)
        self.b.copy_(other.b)

    def _matrices(self, mixture: Mixture) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        count, each_layer = len(mixture.experts), mixture.options.layerwise_scalings
        numbers = {layer: number if each_layer else 0 for number, layer in enumerate(mixture.layers)}
        rows: list[torch.Tensor] = []
        blocks: list[torch.Tensor] = []
        columns: list[int] = []
        total, begin = sum(part.width for part in self._parts), 0
        for part in self._parts:
            for expert in range(count):
                effect = mixture.effects.get((part.module, expert))
                if effect is None:
                    continue
                rank = effect.a.shape[0]
                block = torch.zeros(total, rank, dtype=torch.float32, device="cpu")
                block[begin : begin + part.width] = effect.b[part.outputs]
                rows.append(effect.a[:, part.inputs])
                blocks.append(block)
                columns += [numbers[part.module] * count + expert] * rank
            begin += part.width
        # to the device and type that vLLM builds the model with
        like = torch.empty(0)
        return torch.cat(rows).to(like), torch.cat(blocks, dim=1).to(like), torch.tensor(columns)
