import torch
from vllm.lora.ops.torch_ops.lora_ops import bgmv_expand, bgmv_expand_slice, bgmv_shrink

from lora_runtime.engine.cpu_kernels import drop_base_tokens, skip_base_tokens

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


def test_what_a_gave_for_a_base_token_adds_nothing_through_b() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(TOKENS, HIDDEN, generator=generator)
    a, b = torch.randn(SLOTS, RANK, HIDDEN, generator=generator), torch.randn(SLOTS, HIDDEN, RANK, generator=generator)
    slots = torch.tensor([0, -1, 2, -1])
    narrow, before = torch.zeros(TOKENS, RANK), torch.randn(TOKENS, HIDDEN, generator=generator)
    after = before.clone()
    skip_base_tokens(bgmv_shrink)(inputs, a, narrow, slots)
    bgmv_expand_slice(narrow, b, after, slots, 0, HIDDEN, True)
    assert torch.equal(after[[1, 3]], before[[1, 3]])
    assert not torch.equal(after[[0, 2]], before[[0, 2]])


def test_inputs_that_were_looked_up_add_nothing_for_a_base_token() -> None:
    generator = torch.Generator().manual_seed(0)
    looked_up = torch.randn(TOKENS, RANK, generator=generator)
    b = torch.randn(SLOTS, HIDDEN, RANK, generator=generator)
    slots = torch.tensor([0, -1, 2, -1])
    plain, fixed = torch.zeros(TOKENS, HIDDEN), torch.zeros(TOKENS, HIDDEN)
    bgmv_expand(looked_up, b, plain, slots)
    drop_base_tokens(bgmv_expand)(looked_up, b, fixed, slots)
    assert torch.equal(fixed[[0, 2]], plain[[0, 2]])
    assert torch.equal(fixed[[1, 3]], torch.zeros(2, HIDDEN))
