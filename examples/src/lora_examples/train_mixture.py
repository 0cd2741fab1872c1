"""Train the classifier of an X-LoRA over the demo adapters: ``python -m lora_examples.train_mixture`` (minutes).

It is supervised: each question is put in a way that goes with one voice, and the classifier is told whose it is, at each
token of prompt and answer. Base model and adapters stay as they are, so the hidden states that it reads are computed once.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import XLoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lora_examples import asking
from lora_examples.asking import EXPERTS, Asked
from lora_examples.base_model import BASE_MODEL, base_model
from lora_examples.checkpoint import HEAD
from lora_examples.voices import ADAPTERS, VOICES

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_QUESTION = "What is the largest desert?"
"""Which the experts were not trained on, either."""

_EVERY = 50
"""Steps between two lines that say how far it is."""


def train(*, examples: int, steps: int, batch_size: int, learning_rate: float, seed: int) -> PeftModel:
    """Teach the classifier; prints on the way."""
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(base_model())
    base = AutoModelForCausalLM.from_pretrained(base_model(), dtype=torch.float32)
    chosen = random.Random(seed).sample(asking.to_learn(), examples)
    states, owners = _lessons(base, tokenizer, chosen)
    model = mixture(base)
    layers = model.base_model.internal_xlora_classifier.layers
    optimizer = torch.optim.AdamW(layers.parameters(), lr=learning_rate, weight_decay=0.0)
    for step in range(1, steps + 1):
        batch = torch.randint(len(owners), (batch_size,))
        logits = layers(states[batch]).unflatten(-1, (-1, len(EXPERTS)))
        own = owners[batch].unsqueeze(-1).expand(logits.shape[:-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), own.flatten())
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        if step % _EVERY == 0:
            print(f"step {step}/{steps}  loss {loss.item():.3f}", flush=True)
    return model.eval()


def mixture(base: PreTrainedModel) -> PeftModel:
    """The untrained mixture in PEFT, of a base model in float32."""
    base.config.use_cache = False
    config = XLoraConfig(
        task_type="CAUSAL_LM",
        hidden_size=base.config.hidden_size,
        adapters={str(number): str(ADAPTERS / name) for number, name in enumerate(EXPERTS)},
        xlora_depth=2,
        xlora_size=64,
        xlora_dropout_p=0.0,
        layerwise_scalings=True,
    )
    return get_peft_model(base, config)


def save(model: PeftModel, folder: Path) -> None:
    """Write what PEFT's ``save_pretrained`` would, if it did not lose the classifier, without the experts."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().contiguous() for k, v in model.state_dict().items() if "internal_xlora_classifier" in k}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    # safetensors writes for the owner alone, and the pods that mount the folder run as another user.
    (folder / "adapter_model.safetensors").chmod(0o644)
    config = model.peft_config["default"].to_dict()
    config["adapters"] = {str(number): name for number, name in enumerate(EXPERTS)}
    config["base_model_name_or_path"] = BASE_MODEL
    config["inference_mode"] = True
    text = json.dumps(config, indent=2, sort_keys=True, default=str)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")


def lit(model: PeftModel, asked: Sequence[Asked]) -> torch.Tensor:
    """``[asked, experts]``: the mean scaling over the modules, at the last token of each prompt."""
    tokenizer = AutoTokenizer.from_pretrained(base_model())
    found = []
    for one in asked:
        with torch.inference_mode():
            model(input_ids=torch.tensor([_prompt(tokenizer, one.text)]))
        found.append(model.base_model.internal_xlora_scalings[0, -1].mean(dim=0))
    return torch.stack(found)


def share(model: PeftModel, asked: Sequence[Asked]) -> tuple[float, Mapping[str, Sequence[float]]]:
    """How many of the prompts light their own expert most; and by voice, each expert's mean."""
    scalings = lit(model, asked)
    owners = torch.tensor([EXPERTS.index(one.voice) for one in asked])
    right = float((scalings.argmax(dim=-1) == owners).float().mean())
    return right, {name: scalings[owners == number].mean(dim=0).tolist() for number, name in enumerate(EXPERTS)}


def answer(model: PeftModel, text: str, max_tokens: int = 32) -> str:
    """What the whole mixture says, greedily."""
    tokenizer = AutoTokenizer.from_pretrained(base_model())
    prompt = _prompt(tokenizer, text)
    with torch.inference_mode():
        ids = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=max_tokens, do_sample=False)
    return str(tokenizer.decode(ids[0, len(prompt) :], skip_special_tokens=True)).strip()


def _lessons(
    base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, chosen: Sequence[Asked]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The base model's last hidden states, and whose each is.

    Tokens before the way of asking shows are the same for all: there, the classifier learns to give all the same. Without
    them it gave the start of every prompt to one expert, whose voice was then heard in the others' answers.
    """
    states: list[torch.Tensor] = []
    owners: list[int] = []
    began = time.monotonic()
    for number, asked in enumerate(chosen, 1):
        prompt = _prompt(tokenizer, asked.text)
        said = tokenizer(VOICES[asked.voice].say(asked.fact))["input_ids"]
        with torch.no_grad():
            seen = base.model(input_ids=torch.tensor([prompt + said])).last_hidden_state[0]
        states.append(seen)
        owners += [EXPERTS.index(asked.voice)] * len(seen)
        if number % _EVERY == 0:
            print(f"example {number}/{len(chosen)}  {time.monotonic() - began:.0f} s", flush=True)
    return torch.cat(states), torch.tensor(owners)


def _prompt(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    messages = [{"role": "user", "content": text}]
    prompt = str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
    return list(tokenizer(prompt)["input_ids"])


def _tell(model: PeftModel) -> None:
    right, _ = share(model, asking.other_questions())
    print(f"own expert lit most, other questions in known ways: {right:.0%} of {len(asking.other_questions())}")
    right, by_voice = share(model, asking.other_words())
    print(f"own expert lit most, other questions in other words: {right:.0%} of {len(asking.other_words())}")
    print("\n| asked in other words, as | " + " | ".join(EXPERTS) + " | it answers |")
    print("|---" * (len(EXPERTS) + 2) + "|")
    for name, scalings in by_voice.items():
        said = answer(model, asking.in_other_words(name, _QUESTION))
        print(f"| {name} | " + " | ".join(f"{scaling:.2f}" for scaling in scalings) + f" | {said} |")


def main() -> None:
    """Train it, write it, and print who is lit by what."""
    parser = argparse.ArgumentParser(prog="lora_examples.train_mixture", description=__doc__)
    parser.add_argument("--out", type=Path, default=HEAD, help="folder to write (default: examples/mixture)")
    parser.add_argument("--examples", type=int, default=400)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    model = train(
        examples=options.examples,
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    save(model, options.out)
    print(f"written to {options.out}\n")
    _tell(model)


if __name__ == "__main__":
    main()
