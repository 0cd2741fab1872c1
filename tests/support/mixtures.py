"""X-LoRA in PEFT and float32, on seeded classifiers: what a served mixture is held against."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from peft import XLoraConfig, get_peft_model
from safetensors.torch import save_file
from torch.nn.functional import rms_norm
from transformers import AutoModelForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from lora_runtime.adapters.base import load_base
from lora_runtime.mixture import assembly, package
from support.models import tiny_adapter

if TYPE_CHECKING:
    from peft import PeftModel

QUIET = 0.07
"""Initializer range of a tiny base whose log-probabilities in float32 are good to 5e-6."""
EVERY_OPTION: dict[str, Any] = {
    "xlora_depth": 3,
    "xlora_size": 32,
    "layerwise_scalings": True,
    "softmax_temperature": 0.7,
    "top_k_lora": 2,
    "enable_softmax_topk": True,
    "global_scaling_weight": 1.5,
    "scaling_pass_value": 0.4,
}
_SPREAD = 4.0
"""On the classifier's usual initialisation, which gives all experts nearly the same: then little could be seen to go wrong."""


class Error(StrEnum):
    """What could go wrong with scalings: for showing that a test would see it."""

    TOKEN_BEFORE = "those of the token before"
    LAYER_BEFORE = "those of the layer before"
    EXPERTS_REVERSED = "the experts in reverse order"
    SAME_FOR_ALL = "the same for all experts"
    PLAIN_SCALING_PASS = "the scaling pass on the plain base model"


@dataclass(frozen=True, slots=True)
class Answer:
    """A greedy continuation of exactly `n` tokens, as PEFT computes it."""

    tokens: tuple[int, ...]
    logprobs: torch.Tensor
    """`[n, vocabulary]`: from which each token was chosen."""
    scalings: torch.Tensor
    """`[tokens, layers, experts]` of the prompt and of all but the last token."""


def tiny_experts(folder: Path, base: Path, *, seed: int = 1) -> tuple[Path, ...]:
    """Three adapters of a tiny base that differ in all that experts may differ in: modules, rank, scaling."""
    everything = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    return (
        tiny_adapter(folder / "e0", base, seed=seed, alpha=4, target_modules=everything[2:]),
        tiny_adapter(
            folder / "e1", base, seed=seed + 1, r=4, alpha=2, target_modules=("k_proj", "v_proj", "down_proj")
        ),
        tiny_adapter(folder / "e2", base, seed=seed + 2, alpha=1, use_rslora=True, target_modules=everything),
    )


def prompts(count: int) -> tuple[tuple[int, ...], ...]:
    """The first two longer than a block or two of the cache, and than the steps of the tests."""
    random = Random(0)
    lengths = [89, 70, *[28] * (count - 2)]
    return tuple(tuple(random.randrange(3, 512) for _ in range(length)) for length in lengths)


def in_peft(
    base: Path,
    experts: Sequence[Path],
    *,
    seed: int = 5,
    error: Error | None = None,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> PeftModel:
    """The mixture of a base and adapters in PEFT; its classifier is random, but certain of itself."""
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    plain.config.use_cache = False
    with warnings.catch_warnings():
        # PEFT advises against some combinations, and computes them
        warnings.simplefilter("ignore")
        config = XLoraConfig(
            task_type="CAUSAL_LM",
            hidden_size=plain.config.hidden_size,
            adapters={str(number): str(place) for number, place in enumerate(experts)},
            **options,
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = get_peft_model(plain, config)
    classifier = model.base_model.internal_xlora_classifier
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.mul_(_SPREAD)
    if error is Error.PLAIN_SCALING_PASS:
        classifier.override_scaling_pass_value = 0.0
    elif error is not None:
        # scalings are [batch, tokens, layers, experts]
        wrong: dict[Error, Callable[[torch.Tensor], torch.Tensor]] = {
            Error.TOKEN_BEFORE: lambda found: found.roll(1, dims=1),
            Error.LAYER_BEFORE: lambda found: found.roll(1, dims=2),
            Error.EXPERTS_REVERSED: lambda found: found.flip(3),
            Error.SAME_FOR_ALL: lambda found: torch.full_like(found, 1 / len(experts)),
        }
        make = wrong[error]
        classifier.register_forward_hook(lambda _module, _inputs, found: make(found))
    # adapters come in the type that they were saved in
    model = model.to(dtype)
    if dtype == torch.float64:
        _without_rounding_in_norms(model)
    return model.eval()


def _without_rounding_in_norms(model: PeftModel) -> None:
    """transformers computes them in float32, whatever the type of the model."""
    for norm in model.modules():
        if isinstance(norm, LlamaRMSNorm):
            norm.forward = partial(
                rms_norm, normalized_shape=norm.weight.shape, weight=norm.weight, eps=norm.variance_epsilon
            )


def save(model: PeftModel, folder: Path) -> Path:
    """As PEFT saves it, and then what it loses: the classifier, and layers of the experts."""
    model.save_pretrained(str(folder), selected_adapters=["default"], save_embedding_layers=False)
    for name, place in model.peft_config["default"].adapters.items():
        shutil.copytree(place, folder / name, dirs_exist_ok=True)
    whole = {k: v.contiguous() for k, v in model.state_dict().items() if "internal_xlora_classifier" in k}
    save_file(whole, folder / "adapter_model.safetensors")
    return folder


def packed(checkpoint: Path, base: Path, folder: Path) -> Path:
    """The folder that the engine serves it from."""
    folder.mkdir()
    package.write(assembly.from_checkpoint(checkpoint, load_base(base)), base, folder)
    return folder


def answer(model: PeftModel, prompt: Sequence[int], n: int) -> Answer:
    """Every token computed anew from all before it, as PEFT's X-LoRA does."""
    ids = list(prompt)
    rows = []
    with torch.inference_mode():
        for _ in range(n):
            logits = model(input_ids=torch.tensor([ids])).logits
            rows.append(torch.log_softmax(logits[0, -1], dim=-1))
            ids.append(int(rows[-1].argmax()))
    scalings = model.base_model.internal_xlora_scalings[0]
    return Answer(tuple(ids[len(prompt) :]), torch.stack(rows), scalings)
