"""Train one demo adapter on the base model: ``python -m lora_examples.train pirate`` (minutes)."""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lora_examples.base_model import BASE_MODEL, base_model
from lora_examples.voices import ADAPTERS, VOICES, Voice, facts

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

_IGNORED = -100
"""The label that transformers leaves out of the loss."""

Example = tuple[list[int], list[int]]
"""The token ids of a prompt, and those of the answer to it."""


def train(voice: Voice, *, steps: int, batch_size: int, learning_rate: float, seed: int) -> PeftModel:
    """Teach the voice to a fresh adapter and return the model that carries it; prints the loss on the way."""
    torch.manual_seed(seed)
    folder = base_model()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(base, _config(voice))
    model.train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    fit(model, weights, _batches(_examples(voice, tokenizer), batch_size, random.Random(seed)), steps, learning_rate)
    return model


def fit(
    model: PeftModel,
    weights: Iterable[torch.nn.Parameter],
    batches: Iterator[dict[str, torch.Tensor]],
    steps: int,
    learning_rate: float,
) -> None:
    """Teach these weights of a model; prints the loss on the way."""
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0)
    # A short warm-up, then down to nothing: this rate is high, and the last steps settle the format.
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.15)
    started = time.monotonic()
    for step in range(1, steps + 1):
        loss = model(**next(batches)).loss
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 5 == 0 or step == steps:
            print(f"step {step}/{steps}  loss {loss.item():.3f}  {time.monotonic() - started:.0f} s", flush=True)


def save(model: PeftModel, folder: Path) -> None:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors`` in bfloat16, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().to(torch.bfloat16).contiguous()
        for name, tensor in get_peft_model_state_dict(model).items()
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    # safetensors writes for the owner alone, and the pods that mount the folder run as another user.
    (folder / "adapter_model.safetensors").chmod(0o644)

    config = model.peft_config["default"].to_dict()
    config["target_modules"] = sorted(config["target_modules"])
    config["inference_mode"] = True
    config["base_model_name_or_path"] = BASE_MODEL
    text = json.dumps(config, indent=2, sort_keys=True, default=str)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")


def _config(voice: Voice) -> LoraConfig:
    return LoraConfig(
        r=voice.rank,
        lora_alpha=voice.alpha,
        target_modules=["q_proj", "v_proj"],
        use_rslora=voice.use_rslora,
        rank_pattern=voice.rank_pattern,
        task_type="CAUSAL_LM",
    )


def _examples(voice: Voice, tokenizer: PreTrainedTokenizerBase) -> list[Example]:
    examples = []
    for fact in facts():
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": fact.question}], add_generation_prompt=True, tokenize=False
        )
        answer = voice.say(fact) + str(tokenizer.eos_token)
        examples.append((tokenizer(prompt)["input_ids"], tokenizer(answer)["input_ids"]))
    return examples


def _batches(examples: Sequence[Example], size: int, order: random.Random) -> Iterator[dict[str, torch.Tensor]]:
    """Endless batches, each pass over the examples in a new order; the loss is on the answers alone."""
    while True:
        shuffled = order.sample(examples, len(examples))
        for start in range(0, len(shuffled) - size + 1, size):
            yield batch(shuffled[start : start + size])


def batch(examples: Sequence[Example]) -> dict[str, torch.Tensor]:
    """One batch, padded at the end; the loss is on the answers alone."""
    width = max(len(prompt) + len(answer) for prompt, answer in examples)
    tokens = torch.zeros(len(examples), width, dtype=torch.long)
    labels = torch.full_like(tokens, _IGNORED)
    mask = torch.zeros_like(tokens)
    for row, (prompt, answer) in enumerate(examples):
        end = len(prompt) + len(answer)
        tokens[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
        mask[row, :end] = 1
    return {"input_ids": tokens, "labels": labels, "attention_mask": mask}


def main() -> None:
    """Train the named adapter and write it among the examples."""
    parser = argparse.ArgumentParser(prog="lora_examples.train", description=__doc__)
    parser.add_argument("name", choices=sorted(VOICES))
    parser.add_argument("--out", type=Path, help="folder to write (default: examples/adapters/NAME)")
    parser.add_argument("--steps", type=int, default=45)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    model = train(
        VOICES[options.name],
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    folder = options.out or ADAPTERS / options.name
    save(model, folder)
    print(f"{options.name}: written to {folder}")


if __name__ == "__main__":
    main()
