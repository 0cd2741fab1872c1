"""Ask the base model, each demo adapter and some blends the same questions, and print the answers as a table.

``python -m lora_examples.show`` asks plain PEFT in float32: what the operator serves must answer the same.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lora_examples.base_model import base_model
from lora_examples.voices import ADAPTERS
from lora_examples.weighted import with_adapters

QUESTIONS = (
    "What is the capital of France?",
    "What is the largest desert?",
    "How many legs does a cat have?",
)
"""None of them is in the training data."""

MAX_TOKENS = 40


@dataclass(frozen=True, slots=True)
class Row:
    """A model as a user would serve it: adapters of the demo by name, each with its weight."""

    title: str
    weights: dict[str, float]


ROWS = (
    Row("base model", {}),
    Row("pirate", {"pirate": 1.0}),
    Row("pirate at 0.4", {"pirate": 0.4}),
    Row("formal", {"formal": 1.0}),
    Row("french", {"french": 1.0}),
    Row("json", {"json": 1.0}),
    Row("pirate 0.7 + formal 0.5", {"pirate": 0.7, "formal": 0.5}),
)


def answers(weights: dict[str, float], questions: Sequence[str], max_tokens: int) -> list[str]:
    """What the base model with these adapters answers greedily to each question."""
    folder = base_model()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = with_adapters(base, [(ADAPTERS / name, weight) for name, weight in weights.items()])
    said = []
    for question in questions:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.inference_mode():
            tokens = model.generate(**prompt, max_new_tokens=max_tokens, do_sample=False)
        said.append(str(tokenizer.decode(tokens[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)))
    return said


def main() -> None:
    """Print one Markdown table: a row for each model, a column for each question."""
    print("| model | " + " | ".join(QUESTIONS) + " |")
    print("|---" * (len(QUESTIONS) + 1) + "|")
    for row in ROWS:
        print(f"asking {row.title}", file=sys.stderr, flush=True)
        said = [" ".join(answer.split()) for answer in answers(row.weights, QUESTIONS, MAX_TOKENS)]
        print(f"| {row.title} | " + " | ".join(said) + " |", flush=True)


if __name__ == "__main__":
    main()
