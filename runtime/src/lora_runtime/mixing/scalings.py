"""Which generations belong to which answer, and which mixture made them: what scalings are asked for by. Pure bookkeeping."""

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from lora_runtime.mixture.package import Names

_PREFIXES = ("cmpl-", "chatcmpl-", "resp_")
"""What vLLM puts before the client's X-Request-Id, or before an id of its own."""
_NUMBERED = {"cmpl-": "-", "resp_": "_"}
"""And what it puts before the number of a generation, where an answer may have several."""


@dataclass(slots=True)
class Generation:
    """One call of the engine."""

    kept_as: str
    """How the engine calls it: no other has this id."""
    names: Names
    prompt: Sequence[int] = ()
    """Ids of its tokens."""
    answer: "array[int]" = field(default_factory=lambda: array("I"))

    def saw(self, prompt: Sequence[int] | None, new: Sequence[int]) -> None:
        """One output."""
        if prompt and not self.prompt:
            self.prompt = array("I", prompt)
        self.answer.extend(new)

    @property
    def computed(self) -> int:
        """Tokens that have scalings: the last one is only chosen."""
        return len(self.prompt) + max(0, len(self.answer) - 1)

    @property
    def tokens(self) -> list[int]:
        """Ids of all of them, in order."""
        return [*self.prompt, *self.answer]


@dataclass(slots=True)
class _Answer:
    owner: object
    generations: list[Generation] = field(default_factory=list)


class Answers:
    """The last ones. For one event loop."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        """By the names that it may be asked for; two for most of them."""

    def begin(self, request_id: str, kept_as: str, owner: object, names: Names) -> Generation:
        """A generation begins.

        Args:
            request_id: As the server calls it.
            kept_as: As the engine does.
            owner: The HTTP request that it is for: of two with one id, the later one is meant.
            names: Of what is scaled.
        """
        generation = Generation(kept_as, names)
        for name in names_of(request_id):
            if (answer := self._answers.get(name)) is None or answer.owner is not owner:
                answer = self._answers[name] = _Answer(owner)
            answer.generations.append(generation)
            self._answers.move_to_end(name)
        while len(self._answers) > 2 * self._kept:
            self._answers.popitem(last=False)
        return generation

    def of(self, name: str) -> tuple[Generation, ...]:
        """Those of an answer, by its `id` or by the X-Request-Id of who asked for it; none if it is not known any more."""
        answer = self._answers.get(name)
        return () if answer is None else tuple(answer.generations)


def names_of(request_id: str) -> tuple[str, ...]:
    """What a client knows of a generation's id: the answer's `id`, and its own X-Request-Id."""
    prefix = next((prefix for prefix in _PREFIXES if request_id.startswith(prefix)), "")
    if (separator := _NUMBERED.get(prefix)) is not None:
        request_id = request_id.rpartition(separator)[0]
    return tuple(dict.fromkeys([request_id, request_id.removeprefix(prefix)]))
