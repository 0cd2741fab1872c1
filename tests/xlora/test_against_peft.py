"""A mixture in a real vLLM against X-LoRA in PEFT and float32: every architecture, more options, more ways to serve.

Not part of `make test`, where `tests/engine/test_mixture.py` stands for it: each case starts an engine of its own, which takes
half a minute. `make test-xlora`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from lora_examples.base_model import base_model
from lora_examples.voices import ADAPTERS
from support import mixtures
from support.mixture_process import farthest, start_mixture
from support.models import chat_prompt, reference, tiny_base

TOLERANCE = 1e-5
EAGER = "--enforce-eager"
CHUNKS = "--max-num-batched-tokens=32"


@dataclass(frozen=True)
class Case:
    """One engine."""

    name: str
    base: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = (EAGER, CHUNKS)
    environment: Mapping[str, str] = field(default_factory=dict)


MISTRAL = {"model_type": "mistral", "sliding_window": 48}
QWEN2 = {"model_type": "qwen2", "tie_word_embeddings": True}
PLAIN_TOP_K = {"xlora_dropout_p": 0.0, "xlora_depth": 2, "xlora_size": 16, "enable_softmax": False, "top_k_lora": 1}
CASES = (
    Case("llama, as PEFT has it by default"),
    Case(
        "llama, top-k of bare logits", options=PLAIN_TOP_K | {"global_scaling_weight": 0.5, "scaling_pass_value": 0.3}
    ),
    Case("mistral, sliding window", MISTRAL, {"layerwise_scalings": True}),
    Case("mistral, every option", MISTRAL, mixtures.EVERY_OPTION),
    Case("qwen2, tied embeddings", QWEN2, {"layerwise_scalings": True}),
    Case("qwen2, every option", QWEN2, mixtures.EVERY_OPTION),
    Case(
        "llama, compiled, every option",
        options=mixtures.EVERY_OPTION,
        flags=(CHUNKS,),
        environment={"TORCHDYNAMO_DISABLE": "0"},
    ),
    Case("llama, two processes", options=mixtures.EVERY_OPTION, flags=(EAGER, CHUNKS, "--tensor-parallel-size=2")),
    Case(
        "llama, two processes with the same keys",
        {"num_key_value_heads": 1},
        mixtures.EVERY_OPTION,
        (EAGER, CHUNKS, "--tensor-parallel-size=2"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_tiny_models(tmp_path: Path, case: Case) -> None:
    base = tiny_base(tmp_path / "base", initializer_range=mixtures.QUIET, **case.base)
    holds(tmp_path, base, mixtures.tiny_experts(tmp_path, base), case, mixtures.prompts(4), tokens=20)


@pytest.mark.parametrize("options", [{}, mixtures.EVERY_OPTION], ids=["by default", "every option"])
def test_the_demos_model_and_adapters(tmp_path: Path, options: Mapping[str, Any]) -> None:
    base = base_model()
    tokenizer = AutoTokenizer.from_pretrained(base)
    questions = ("What is the capital of France?", "Tell me about the sea.")
    prompts = [tokenizer(chat_prompt(base, question))["input_ids"] for question in questions]
    experts = [ADAPTERS / name for name in ("pirate", "formal", "french", "json")]
    rounding = of_the_plain_model(tmp_path, base, prompts, tokens=12)
    # a mixture goes through the layers twice
    holds(tmp_path, base, experts, Case("", options=options), prompts, tokens=12, tolerance=4 * rounding)


def of_the_plain_model(folder: Path, base: Path, prompts: Sequence[Sequence[int]], *, tokens: int) -> float:
    """How far the base model on vLLM is from transformers: after thirty layers in float32 more than 1e-5."""
    expected = [reference(base, [], prompt, tokens) for prompt in prompts]
    served = start_mixture(folder / "plain", base, flags=(EAGER, CHUNKS))
    try:
        served.wait_until_ready()
        found = served.complete_all(prompts, tokens)
    finally:
        served.stop()
    assert [one.tokens for one in found] == [each.tokens for each in expected]
    return max(map(farthest, found, expected))


def holds(
    folder: Path,
    base: Path,
    experts: Sequence[Path],
    case: Case,
    prompts: Sequence[Sequence[int]],
    *,
    tokens: int,
    tolerance: float = TOLERANCE,
) -> None:
    """Answers are PEFT's, one after another and at once; those of a mixture with an error would not be."""
    model = mixtures.in_peft(base, experts, **case.options)
    package = mixtures.packed(mixtures.save(model, folder / "checkpoint"), base, folder / "model")
    served = start_mixture(folder / "pod", package, flags=case.flags, environment=case.environment)
    try:
        expected = [mixtures.answer(model, prompt, tokens) for prompt in prompts]
        served.wait_until_ready()
        alone = [served.complete(prompt, tokens) for prompt in prompts]
        served.reset_prefix_cache()
        together = served.complete_all(prompts, tokens)
    finally:
        served.stop()
    for found in (alone, together):
        assert [one.tokens for one in found] == [each.tokens for each in expected]
        assert max(map(farthest, found, expected)) < tolerance
    wrong = mixtures.in_peft(base, experts, error=mixtures.Error.TOKEN_BEFORE, **case.options)
    assert farthest(alone[0], mixtures.answer(wrong, prompts[0], tokens)) > 100 * tolerance
