"""The experts of a linear layer that several processes share: together they add what one would."""

import pytest
import torch

from lora_runtime.adapters.base import load_base
from lora_runtime.mixture import assembly
from lora_runtime.mixture.checkpoint import options_of
from lora_runtime.mixture.package import Mixture
from lora_runtime.mixture.vllm.experts import Experts, Part
from support import mixtures
from support.models import tiny_base

BLOCK = "model.layers.1.self_attn."
WIDTHS = {"q_proj": 128, "k_proj": 64, "v_proj": 64}
ALL = slice(None)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    folder = tmp_path_factory.mktemp("mixture")
    base = tiny_base(folder / "base")
    experts = {place.name: place for place in mixtures.tiny_experts(folder, base)}
    return assembly.from_adapters(
        experts, options_of({"hidden_size": 128, "layerwise_scalings": True}), load_base(base)
    )


def added(experts: Experts, down: torch.Tensor, scalings: torch.Tensor, width: int) -> torch.Tensor:
    found: torch.Tensor = experts(torch.zeros(len(down), width), down, scalings.flatten(1)[:, experts.columns])
    return found


def test_columns_are_added_to_their_own_module_by_their_own_scaling(mixture: Mixture) -> None:
    x = torch.randn(3, 128)
    scalings = torch.rand(3, len(mixture.layers), 3)
    parts = [Part(BLOCK + name, ALL, slice(0, width)) for name, width in WIDTHS.items()]
    experts = Experts(mixture, parts)
    found = torch.split(added(experts, x @ experts.a.T, scalings, sum(WIDTHS.values())), list(WIDTHS.values()), dim=1)
    for name, output in zip(WIDTHS, found, strict=True):
        want = torch.zeros_like(output)
        for expert in range(3):
            effect = mixture.effects.get((BLOCK + name, expert))
            if effect is not None:
                gate = scalings[:, mixture.layers.index(BLOCK + name), expert, None]
                want += gate * (x @ effect.a.T @ effect.b.T)
        assert torch.allclose(output, want, atol=1e-5)
    assert (BLOCK + "q_proj", 0) not in mixture.effects, "an expert may leave a module alone"


def test_processes_that_share_outputs_have_their_rows(mixture: Mixture) -> None:
    x = torch.randn(3, 128)
    scalings = torch.rand(3, len(mixture.layers), 3)

    def of(process: int | None) -> torch.Tensor:
        halves = {name: width if process is None else width // 2 for name, width in WIDTHS.items()}
        begin = process or 0
        parts = [Part(BLOCK + n, ALL, slice(begin * w, (begin + 1) * w)) for n, w in halves.items()]
        experts = Experts(mixture, parts)
        return added(experts, x @ experts.a.T, scalings, sum(halves.values()))

    whole = torch.split(of(None), [64, 64, 32, 32, 32, 32], dim=1)
    for process in (0, 1):
        assert torch.allclose(of(process), torch.cat(whole[process::2], dim=1), atol=1e-6)


def test_processes_that_share_inputs_put_the_narrow_part_together(mixture: Mixture) -> None:
    x = torch.randn(3, 128)
    scalings = torch.rand(3, len(mixture.layers), 3)
    halves = [
        Experts(mixture, [Part(BLOCK + "o_proj", half, slice(0, 128))]) for half in (slice(0, 64), slice(64, 128))
    ]
    whole = Experts(mixture, [Part(BLOCK + "o_proj", ALL, slice(0, 128))])
    down = x[:, :64] @ halves[0].a.T + x[:, 64:] @ halves[1].a.T
    want = added(whole, x @ whole.a.T, scalings, 128)
    assert torch.allclose(added(halves[1], down, scalings, 128), want, atol=1e-5)
