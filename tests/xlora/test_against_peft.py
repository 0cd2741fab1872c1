"""A mixture in a real vLLM against X-LoRA in PEFT and float32: every architecture, more options, more ways to serve.

Not part of `make test`, where `tests/engine/test_mixture.py` stands for it: each case starts an engine of its own, which takes
half a minute. `make test-xlora`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from lora_examples.base_model import base_model
from lora_examples.voices import ADAPTERS
from support import accelerator, double_precision, mixtures
from support.mixture_process import PLUGIN, farthest, start_mixture
from support.models import chat_prompt, tiny_base

TOLERANCE = 1e-5
VOICES_TOKENS = 12
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


@dataclass(frozen=True)
class Voices:
    """The demo's model and adapters as a mixture: thirty layers, in which rounding adds up."""

    package: Path
    prompts: Sequence[Sequence[int]]
    exact: Sequence[mixtures.Answer]
    """PEFT's in float64."""
    rounded: Sequence[mixtures.Answer]
    """And in float32."""
    wrong: mixtures.Answer
    """To the first prompt, with an error."""


@pytest.fixture(scope="module", params=[{}, mixtures.EVERY_OPTION], ids=["by default", "every option"])
def voices(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Voices:
    folder, base = tmp_path_factory.mktemp("voices"), base_model()
    tokenizer = AutoTokenizer.from_pretrained(base)
    questions = ("What is the capital of France?", "Tell me about the sea.")
    prompts = [tokenizer(chat_prompt(base, question))["input_ids"] for question in questions]
    experts = [ADAPTERS / name for name in ("pirate", "formal", "french", "json")]
    rounded = mixtures.in_peft(base, experts, **request.param)
    exact = mixtures.in_peft(base, experts, dtype=torch.float64, **request.param)
    wrong = mixtures.in_peft(base, experts, error=mixtures.Error.TOKEN_BEFORE, **request.param)
    return Voices(
        mixtures.packed(mixtures.save(rounded, folder / "checkpoint"), base, folder / "model"),
        prompts,
        [mixtures.answer(exact, prompt, VOICES_TOKENS) for prompt in prompts],
        [mixtures.answer(rounded, prompt, VOICES_TOKENS) for prompt in prompts],
        mixtures.answer(wrong, prompts[0], VOICES_TOKENS),
    )


@pytest.mark.skipif(not accelerator.CPUS, reason="it is vLLM's attention for CPUs that is replaced by one in float64")
def test_the_demos_model_and_adapters_in_float64(tmp_path: Path, voices: Voices) -> None:
    """Where rounding is out of the way, thirty layers are computed as exactly as two."""
    flags = (EAGER, CHUNKS, *double_precision.FLAGS)
    environment = double_precision.environment(tmp_path / "plugin", PLUGIN)
    served = start_mixture(tmp_path / "pod", voices.package, flags=flags, environment=environment)
    try:
        served.wait_until_ready()
        alone = [served.complete(prompt, VOICES_TOKENS) for prompt in voices.prompts]
        served.reset_prefix_cache()
        together = served.complete_all(voices.prompts, VOICES_TOKENS)
    finally:
        served.stop()
    for found in (alone, together):
        assert [one.tokens for one in found] == [each.tokens for each in voices.exact]
        assert max(map(farthest, found, voices.exact)) < TOLERANCE / 10
    assert farthest(alone[0], voices.wrong) > 100 * TOLERANCE


def test_the_demos_model_and_adapters_in_float32(tmp_path: Path, voices: Voices) -> None:
    """The same tokens, and about as much rounding as in PEFT itself."""
    served = start_mixture(tmp_path / "pod", voices.package, flags=(EAGER, CHUNKS))
    try:
        served.wait_until_ready()
        found = served.complete_all(voices.prompts, VOICES_TOKENS, logprobs=20)
    finally:
        served.stop()
    assert [one.tokens for one in found] == [each.tokens for each in voices.rounded]
    ours, pefts = [], []
    for one, rounded, exact in zip(found, voices.rounded, voices.exact, strict=True):
        for step, likeliest in enumerate(one.logprobs):
            at = (step, list(likeliest))
            ours.append(torch.tensor(list(likeliest.values()), dtype=torch.float64) - exact.logprobs[at])
            pefts.append(rounded.logprobs[at] - exact.logprobs[at])
    assert root_mean_square(ours) < 2 * root_mean_square(pefts)


def root_mean_square(differences: Sequence[torch.Tensor]) -> float:
    return float(torch.cat(list(differences)).square().mean().sqrt())


def holds(
    folder: Path,
    base: Path,
    experts: Sequence[Path],
    case: Case,
    prompts: Sequence[Sequence[int]],
    *,
    tokens: int,
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
        assert max(map(farthest, found, expected)) < TOLERANCE
    wrong = mixtures.in_peft(base, experts, error=mixtures.Error.TOKEN_BEFORE, **case.options)
    assert farthest(alone[0], mixtures.answer(wrong, prompts[0], tokens)) > 100 * TOLERANCE
