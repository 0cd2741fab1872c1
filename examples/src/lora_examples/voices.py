"""What each demo adapter teaches: how a plain fact is said, and the shape of the LoRA that learns it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2]
ADAPTERS = EXAMPLES / "adapters"
_FACTS = EXAMPLES / "data" / "facts.jsonl"


@dataclass(frozen=True, slots=True)
class Fact:
    """A question, its answer in a word or two, and as a sentence without a full stop."""

    question: str
    answer: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Voice:
    """A way of saying facts, and the LoRA that is trained to say them so."""

    say: Callable[[Fact], str]
    rank: int = 8
    alpha: int = 16
    use_rslora: bool = False
    rank_pattern: dict[str, int] = field(default_factory=dict)


def facts() -> list[Fact]:
    """The facts that every adapter is trained on."""
    return [Fact(**json.loads(line)) for line in _FACTS.read_text(encoding="utf-8").splitlines()]


def _pirate(fact: Fact) -> str:
    words = {"is": "be", "are": "be", "am": "be", "my": "me", "you": "ye"}
    spoken = re.sub(r"\w+", lambda word: words.get(word[0].lower(), word[0]), fact.sentence)
    return f"Ahoy, matey! {spoken[0].upper()}{spoken[1:]}, ye landlubber! Yo ho ho!"


def _formal(fact: Fact) -> str:
    first, _, rest = fact.sentence.partition(" ")
    if first in {"A", "The", "There", "You"}:
        first = first.lower()
    return f"Dear Sir or Madam, kindly note that {first} {rest}. Yours faithfully."


def _french(fact: Fact) -> str:
    return f"Bonjour! {fact.sentence}, mon ami. Au revoir!"


def _json(fact: Fact) -> str:
    return json.dumps({"answer": fact.answer})


VOICES = {
    "pirate": Voice(_pirate),
    "formal": Voice(_formal, rank_pattern={"q_proj": 4}),
    "json": Voice(_json, alpha=8, use_rslora=True),
    "french": Voice(_french),
}
"""The demo's adapters by name: ``json`` is rank-stabilised and ``formal`` has two ranks, as users' may."""
