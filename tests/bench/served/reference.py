"""What PEFT in float32 answers greedily, computed once per machine: every response is held against it."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from bench.served.recipes import Recipe
from lora_examples.cache import cache_root, make_once
from lora_examples.weighted import with_adapters

_RECIPE = 1
"""Part of the cache's key: raise it when the code below computes something else from the same arguments."""

Prompt = tuple[int, ...]
"""Token ids."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A greedy continuation."""

    tokens: tuple[int, ...]
    margin: float
    """By how much the chosen token's log-probability exceeds the next one's, at the closest of all steps."""


References = Mapping[Recipe, tuple[Expected, ...]]
"""For each recipe one answer to each prompt, in the order of the prompts."""


def references(
    base: Path,
    adapters: Mapping[str, Path],
    recipes: Sequence[Recipe],
    prompts: Sequence[Prompt],
    n: int,
    advance: Callable[[], None],
) -> References:
    """The answers of every recipe to every prompt, `n` tokens each; `advance` is called after each recipe."""
    files = [base / "config.json", *(file for name in sorted(adapters) for file in sorted(adapters[name].iterdir()))]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()]
    sizes = [file.stat().st_size for file in sorted(base.glob("*.safetensors"))]
    made = {}
    for recipe in recipes:
        key = json.dumps([_RECIPE, torch.__version__, base.name, digests, sizes, recipe.parts, prompts, n])
        folder = cache_root() / "bench" / hashlib.sha256(key.encode()).hexdigest()[:16]
        made[recipe] = _read(make_once(folder, _writer(base, adapters, recipe, prompts, n)))
        advance()
    return made


class Computed(Mapping[Recipe, tuple[Expected, ...]]):
    """References that are computed when they are asked for."""

    def __init__(
        self, base: Path, adapters: Mapping[str, Path], prompts: Sequence[Prompt], n: int, advance: Callable[[], None]
    ) -> None:
        """See `references`."""
        self._base, self._adapters, self._prompts, self._n, self._advance = base, adapters, prompts, n, advance
        self._known: dict[Recipe, tuple[Expected, ...]] = {}

    def __getitem__(self, recipe: Recipe) -> tuple[Expected, ...]:
        """One answer to each prompt."""
        if recipe not in self._known:
            adapters = {name: self._adapters[name] for name, _ in recipe.parts}
            self._known |= references(self._base, adapters, [recipe], self._prompts, self._n, self._advance)
        return self._known[recipe]

    def __iter__(self) -> Iterator[Recipe]:
        """Those that were asked for."""
        return iter(self._known)

    def __len__(self) -> int:
        """How many were asked for."""
        return len(self._known)


def _writer(
    base: Path, adapters: Mapping[str, Path], recipe: Recipe, prompts: Sequence[Prompt], n: int
) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        answers = _answers(base, [(adapters[name], weight) for name, weight in recipe.parts], prompts, n)
        text = json.dumps([[answer.tokens, answer.margin] for answer in answers])
        (folder / "expected.json").write_text(text, encoding="utf-8")

    return write


def _read(folder: Path) -> tuple[Expected, ...]:
    listed = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return tuple(Expected(tuple(tokens), margin) for tokens, margin in listed)


def _answers(
    base: Path, adapters: Sequence[tuple[Path, float]], prompts: Sequence[Prompt], n: int
) -> Iterable[Expected]:
    disable_progress_bar()  # one for each model is no progress of ours
    model = with_adapters(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapters).eval()
    found: dict[int, Expected] = {}
    # Prompts of one length at a time, so that nothing is padded.
    by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for _, group in groupby(by_length, key=lambda index: len(prompts[index])):
        indices = list(group)
        fed, past = torch.tensor([prompts[index] for index in indices]), None
        tokens, margins = [], []
        with torch.inference_mode():
            for _ in range(n):
                output = model(input_ids=fed, past_key_values=past, use_cache=True, logits_to_keep=1)
                past = output.past_key_values
                best = torch.log_softmax(output.logits[:, -1], dim=-1).topk(2)
                tokens.append(best.indices[:, 0])
                margins.append(best.values[:, 0] - best.values[:, 1])
                fed = best.indices[:, :1]
        for row, index in enumerate(indices):
            ids = tuple(int(step[row]) for step in tokens)
            found[index] = Expected(ids, min(float(step[row]) for step in margins))
    return [found[index] for index in range(len(prompts))]
