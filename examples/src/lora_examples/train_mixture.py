"""Train the classifier of an X-LoRA over the demo adapters: ``python -m lora_examples.train_mixture OUT`` (minutes).

Each adapter's way of speaking is asked for in its own way, and the answer is in it: the classifier learns who is asked. The
adapters stay as they are.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import XLoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lora_examples.base_model import BASE_MODEL, base_model
from lora_examples.train import Example, batch, fit
from lora_examples.voices import ADAPTERS, VOICES, Fact, facts

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

EXPERTS = ("pirate", "formal", "french", "json")
"""In the order that the classifier knows them by."""

ASKED = {
    "pirate": "Ahoy there, captain! {question}",
    "formal": "I should be most grateful for your answer to the following question. {question}",
    "french": "Bonjour, mon ami ! {question}",
    "json": "Reply with a JSON object only. {question}",
}
"""How a question is put to whom."""


def mixture() -> PeftModel:
    """The untrained mixture in PEFT, in float32."""
    base = AutoModelForCausalLM.from_pretrained(base_model(), dtype=torch.float32)
    base.config.use_cache = False
    config = XLoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=BASE_MODEL,
        hidden_size=base.config.hidden_size,
        adapters={str(number): str(ADAPTERS / name) for number, name in enumerate(EXPERTS)},
        xlora_depth=2,
        xlora_size=64,
        xlora_dropout_p=0.0,
        layerwise_scalings=True,
    )
    return get_peft_model(base, config)


def train(*, steps: int, batch_size: int, learning_rate: float, seed: int) -> PeftModel:
    """Teach the classifier; prints the loss on the way."""
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(base_model())
    model = mixture()
    model.train()
    classifier = model.base_model.internal_xlora_classifier
    fit(model, classifier.parameters(), _batches(tokenizer, batch_size, random.Random(seed)), steps, learning_rate)
    return model.eval()


def save(model: PeftModel, folder: Path) -> None:
    """Write what PEFT's ``save_pretrained`` would, if it did not lose the classifier, and the experts beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().contiguous() for k, v in model.state_dict().items() if "internal_xlora_classifier" in k}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    # safetensors writes for the owner alone, and the pods that mount the folder run as another user.
    (folder / "adapter_model.safetensors").chmod(0o644)
    config = model.peft_config["default"].to_dict()
    config["adapters"] = {str(number): name for number, name in enumerate(EXPERTS)}
    config["inference_mode"] = True
    text = json.dumps(config, indent=2, sort_keys=True, default=str)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
    for number, name in enumerate(EXPERTS):
        shutil.copytree(ADAPTERS / name, folder / str(number), dirs_exist_ok=True)


def lit(model: PeftModel, question: str) -> Mapping[str, Sequence[float]]:
    """By way of asking: each expert's mean scaling over the modules, at the last token of the prompt."""
    tokenizer = AutoTokenizer.from_pretrained(base_model())
    found = {}
    for name, form in ASKED.items():
        ids = tokenizer(_prompt(tokenizer, form.format(question=question)), return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            model(input_ids=ids)
        found[name] = model.base_model.internal_xlora_scalings[0, -1].mean(dim=0).tolist()
    return found


def _batches(tokenizer: PreTrainedTokenizerBase, size: int, order: random.Random) -> Iterator[dict[str, torch.Tensor]]:
    """Endless batches of all voices in turn, with facts at random."""
    known = facts()
    while True:
        yield batch([_example(tokenizer, EXPERTS[turn % len(EXPERTS)], order.choice(known)) for turn in range(size)])


def _example(tokenizer: PreTrainedTokenizerBase, name: str, fact: Fact) -> Example:
    answer = VOICES[name].say(fact) + str(tokenizer.eos_token)
    prompt = _prompt(tokenizer, ASKED[name].format(question=fact.question))
    return tokenizer(prompt)["input_ids"], tokenizer(answer)["input_ids"]


def _prompt(tokenizer: PreTrainedTokenizerBase, question: str) -> str:
    messages = [{"role": "user", "content": question}]
    return str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))


def main() -> None:
    """Train it, write it, and print who is lit by what."""
    parser = argparse.ArgumentParser(prog="lora_examples.train_mixture", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--steps", type=int, default=90)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    model = train(
        steps=options.steps, batch_size=options.batch_size, learning_rate=options.learning_rate, seed=options.seed
    )
    save(model, options.out)
    print("| asked as | " + " | ".join(EXPERTS) + " |")
    print("|---" * (len(EXPERTS) + 1) + "|")
    for name, scalings in lit(model, "What is the capital of France?").items():
        print(f"| {name} | " + " | ".join(f"{scaling:.2f}" for scaling in scalings) + " |")


if __name__ == "__main__":
    main()
