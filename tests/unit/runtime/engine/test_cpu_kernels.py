import torch
from vllm.lora.ops.torch_ops.lora_ops import bgmv_shrink

from lora_runtime.engine.cpu_kernels import skip_base_tokens

TOKENS, HIDDEN, RANK, SLOTS = 4, 8, 2, 3


def test_tokens_without_an_adapter_get_nothing_and_the_others_what_they_got_before() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(TOKENS, HIDDEN, generator=generator)
    weights = torch.randn(SLOTS, RANK, HIDDEN, generator=generator)
    slots = torch.tensor([0, -1, 2, -1])
    plain, fixed = torch.zeros(TOKENS, RANK), torch.zeros(TOKENS, RANK)
    bgmv_shrink(inputs, weights, plain, slots)
    skip_base_tokens(bgmv_shrink)(inputs, weights, fixed, slots)
    assert torch.equal(fixed[[0, 2]], plain[[0, 2]])
    assert torch.equal(fixed[[1, 3]], torch.zeros(2, RANK))
    assert not torch.equal(plain[[1, 3]], torch.zeros(2, RANK)), "vLLM's own kernel is right now: drop the fix"
