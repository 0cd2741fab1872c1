"""What an answer tells of what a pod serves: held against PEFT in float32."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.served.choice import LEAST_MARGIN
from bench.served.recipes import Recipe
from bench.served.reference import Expected, Prompt, references
from chaos.wishes import Content

TOKENS = 8


@dataclass(slots=True)
class Answers:
    """Knows what each content answers to each prompt."""

    base: Path
    adapters: Mapping[str, Path]
    prompts: Sequence[Prompt]
    _known: dict[Content, tuple[Expected, ...]] = field(default_factory=dict)

    def learn(self, content: Content) -> None:
        """Computes the answers, or finds them in the cache."""
        if content not in self._known:
            recipe = Recipe(content)
            made = references(self.base, self.adapters, (recipe,), self.prompts, TOKENS, _nobody)
            self.know(content, made[recipe])

    def know(self, content: Content, expected: tuple[Expected, ...]) -> None:
        """Takes the answers to all prompts."""
        self._known[content] = expected

    def telling(self, wanted: Content | None, ever: Collection[Content]) -> int:
        """The prompt that tells what is wanted from most of what was ever wanted."""
        if wanted is None:
            return 0

        def told_apart(prompt: int) -> tuple[bool, int]:
            own = self._known[wanted][prompt]
            others = (self._known[content][prompt].tokens for content in ever)
            return own.margin >= LEAST_MARGIN, sum(tokens != own.tokens for tokens in others)

        return max(range(len(self.prompts)), key=told_apart)

    def read(self, prompt: int, tokens: tuple[int, ...], ever: Collection[Content]) -> frozenset[Content]:
        """Those of the contents whose answer it is, or may be: one that is hardly decided may be turned by rounding."""
        return frozenset(
            content
            for content in ever
            if (known := self._known[content][prompt]).tokens == tokens or known.margin < LEAST_MARGIN
        )


def _nobody() -> None:
    """Nobody waits for it."""
