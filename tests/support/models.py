"""Tiny seeded models and adapters for fast tests, and what PEFT in float32 says that they answer."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from lora_examples.cache import cache_root, make_once
from lora_examples.weighted import Weighted, with_adapters

TINY_BASE_NAME = "tests/tiny-base"
"""What tiny adapters carry as ``base_model_name_or_path``."""

_RECIPE = 1
"""Part of every cache key: raise it when the code below makes other bytes from the same arguments."""

_WORDS = """
Ask a model what it knows and it will answer with words that came before. The capital of France is Paris,
the capital of Italy is Rome, and the sky above both is blue. A pirate would say it louder; a polite
person would apologise first. Water boils, snow melts, rivers run to the sea, ships sail across oceans,
and nobody counts the waves. Numbers such as one, two, three, seven, twelve and hundred are words as
well. Why does bread rise? Who wrote this letter? Where do penguins live, and how many legs has a spider?
Children ask such questions every morning; teachers, doctors, farmers and sailors answer them
differently. Never mind: every adapter changes the answer a little.
"""
"""What the tokenizer is trained on: enough different words for its 512 tokens."""

_CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A greedy continuation of exactly ``n`` tokens; an end-of-text token does not stop it."""

    tokens: tuple[int, ...]
    text: str
    logprobs: torch.Tensor
    """``[n, vocabulary]`` float32: the log-probabilities from which each token was chosen."""


def tiny_base(
    folder: Path,
    seed: int = 0,
    *,
    model_type: str = "llama",
    tie_word_embeddings: bool = False,
    initializer_range: float = 0.2,
    **settings: int,
) -> Path:
    """Write a seeded two-layer Llama (2 MB, float32) with a byte-level tokenizer into ``folder``; return it.

    Hidden size 128, 4 heads, 2 key-value heads, intermediate size 256, 512 tokens: queries and values
    differ in shape, as in real models. The same arguments give the same bytes.

    ``model_type`` is transformers' name of another architecture, ``settings`` are of its configuration.
    ``initializer_range`` is ten times the usual: with smaller weights it answers almost uniformly, and rounding would
    choose the token; with larger ones each rounding is felt more in the log-probabilities.
    """
    arguments = {
        "seed": seed,
        "model_type": model_type,
        "settings": {
            "tie_word_embeddings": tie_word_embeddings,
            "initializer_range": initializer_range,
            **settings,
        },
    }
    made = _cached("base", arguments, _make_base)
    return _copy(made, folder)


def tiny_adapter(
    folder: Path,
    base: Path,
    *,
    seed: int,
    r: int = 8,
    alpha: int = 16,
    target_modules: Sequence[str] = ("q_proj", "v_proj"),
    use_rslora: bool = False,
    rank_pattern: dict[str, int] | None = None,
    alpha_pattern: dict[str, int] | None = None,
    dtype: torch.dtype = torch.float32,
    base_name: str = TINY_BASE_NAME,
) -> Path:
    """Write a seeded PEFT adapter for ``base`` into ``folder``; return it. Its greedy answers are its own.

    ``dtype`` is that of the stored tensors. The same arguments give the same bytes.
    """
    arguments = {
        "base": (base / "config.json").read_text(encoding="utf-8"),
        "base_name": base_name,
        "dtype": str(dtype).removeprefix("torch."),
        "seed": seed,
        "lora": {
            "r": r,
            "lora_alpha": alpha,
            "target_modules": sorted(target_modules),
            "use_rslora": use_rslora,
            "rank_pattern": rank_pattern or {},
            "alpha_pattern": alpha_pattern or {},
        },
    }
    return _copy(_cached("adapter", arguments, _make_adapter), folder)


def reference(base: Path, adapters: Sequence[Weighted], prompt: str | Sequence[int], n: int) -> Answer:
    """What PEFT in float32 answers greedily with these adapters at these weights.

    No adapter is the base model, one is that adapter alone, more are the exact weighted sum of their effects.
    A ``prompt`` in words is tokenized as a completion request would be, without a chat template.
    """
    tokenizer = AutoTokenizer.from_pretrained(base)
    ids = tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else list(prompt)
    model = with_adapters(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapters).eval()

    rows: list[torch.Tensor] = []
    fed, past = torch.tensor([ids]), None
    with torch.inference_mode():
        for _ in range(n):
            output = model(input_ids=fed, past_key_values=past, use_cache=True)
            past = output.past_key_values
            rows.append(torch.log_softmax(output.logits[0, -1], dim=-1))
            fed = rows[-1].argmax().reshape(1, 1)
    tokens = tuple(int(row.argmax()) for row in rows)
    return Answer(tokens=tokens, text=str(tokenizer.decode(tokens)), logprobs=torch.stack(rows))


def greedy(base: Path, adapters: Sequence[Weighted], prompt: str | Sequence[int], n: int) -> list[int]:
    """The token ids of :func:`reference`."""
    return list(reference(base, adapters, prompt, n).tokens)


def reference_logprobs(base: Path, adapters: Sequence[Weighted], prompt: str | Sequence[int]) -> torch.Tensor:
    """The log-probabilities of the first token after the prompt: ``[vocabulary]``, float32."""
    return reference(base, adapters, prompt, 1).logprobs[0]


def chat_prompt(base: Path, question: str) -> str:
    """The question as the base's chat template puts it to the model, for :func:`reference`."""
    messages = [{"role": "user", "content": question}]
    tokenizer = AutoTokenizer.from_pretrained(base)
    return str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))


def _cached(kind: str, arguments: dict[str, Any], make: Callable[..., None]) -> Path:
    text = json.dumps([_RECIPE, kind, torch.__version__, arguments], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return make_once(cache_root() / "tiny" / f"{kind}-{key}", lambda folder: make(folder, **arguments))


def _copy(made: Path, folder: Path) -> Path:
    # A copy, so that a test which damages its model damages no other's.
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder


def _make_base(folder: Path, *, seed: int, model_type: str, settings: dict[str, Any]) -> None:
    tokenizer = _tokenizer()
    usual = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = AutoConfig.for_model(model_type, **(usual | settings))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<|pad|>", "<|start|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_WORDS], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        chat_template=_CHAT_TEMPLATE,
        model_max_length=1024,
    )


def _make_adapter(folder: Path, *, base: str, base_name: str, dtype: str, seed: int, lora: dict[str, Any]) -> None:
    config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **lora)
    with torch.random.fork_rng():
        skeleton = AutoModelForCausalLM.from_config(AutoConfig.for_model(**json.loads(base)))
        torch.manual_seed(seed)
        model = get_peft_model(skeleton, config)
    tensors = {
        name: tensor.detach().to(getattr(torch, dtype)).contiguous()
        for name, tensor in get_peft_model_state_dict(model).items()
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    saved = {
        **config.to_dict(),
        "target_modules": lora["target_modules"],
        "base_model_name_or_path": base_name,
        "inference_mode": True,
        "init_lora_weights": True,
    }
    text = json.dumps(saved, indent=2, sort_keys=True, default=str)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
