"""The classifier of a mixture: linear layers with ReLU between them, from a token's last hidden state to its scalings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lora_runtime.mixture.options import Options


@dataclass(frozen=True, slots=True)
class Linear:
    """One layer: `weight [out, in]` and `bias [out]`."""

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True, slots=True)
class Shape:
    """Of all of it."""

    widths: tuple[int, ...]
    """From the model's hidden size to the outputs; one more than layers."""

    @property
    def layers(self) -> Sequence[tuple[int, int]]:
        """`(out, in)` of each layer."""
        return [(out, into) for into, out in zip(self.widths, self.widths[1:], strict=False)]


def shape_of(options: Options, *, experts: int, layers: int) -> Shape:
    """What a classifier for these must be like; `layers` are the modules that any expert adapts."""
    outputs = experts * (layers if options.layerwise_scalings else 1)
    return Shape((options.hidden_size, *[options.xlora_size] * (options.xlora_depth - 1), outputs))


def untrained(shape: Shape, seed: int) -> tuple[Linear, ...]:
    """What PEFT starts training from: torch's initialisation of linear layers."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for out, into in shape.layers:
        bound = 1 / math.sqrt(into)
        weight, bias = (
            torch.empty(size).uniform_(-bound, bound, generator=generator) for size in ((out, into), (out,))
        )
        made.append(Linear(weight, bias))
    return tuple(made)


class Classifier(torch.nn.Module):
    """Gives `[tokens, layers, experts]` of `[tokens, hidden]`; `layers` is 1 where all get the same."""

    def __init__(self, linears: Sequence[Linear], experts: int) -> None:
        super().__init__()
        self._experts = experts
        self._layers = len(linears[-1].bias) // experts
        self._depth = len(linears)
        for number, linear in enumerate(linears):
            # no parameters: those are looked for in the base model's files
            self.register_buffer(f"weight_{number}", linear.weight, persistent=False)
            self.register_buffer(f"bias_{number}", linear.bias, persistent=False)

    @property
    def width(self) -> int:
        """Scalings of one token."""
        return self._layers * self._experts

    def take(self, linears: Sequence[Linear]) -> None:
        """Other values of the same shapes, into the memory that compiled graphs read."""
        for number, linear in enumerate(linears):
            weight, bias = self._linear(number)
            weight.copy_(linear.weight)
            bias.copy_(linear.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The logits of every token."""
        for number in range(self._depth):
            if number:
                hidden = torch.relu(hidden)
            hidden = torch.nn.functional.linear(hidden, *self._linear(number))
        return hidden.view(-1, self._layers, self._experts)

    def _linear(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        return getattr(self, f"weight_{number}"), getattr(self, f"bias_{number}")
