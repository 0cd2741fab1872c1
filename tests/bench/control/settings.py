"""How long a run is, and what is changed."""

from dataclasses import dataclass

REPLICAS = 2
LAYERS, PROMPT_TOKENS, TOKENS = 1, 4, 1
"""Of the model, of each question of the observers, and of its answer: what the engines take for answers is taken from the same
cores, and is no part of what is measured."""
PAUSE_SECONDS = 0.25
"""One question takes a pod some 10 ms of a core. When a pod goes over, its log tells, and it is asked at once: shorter rests find
nothing sooner."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One run."""

    seed: int
    weights: int
    """Edits of `spec.weight`."""
    sources: int
    """Edits of `spec.source`."""
    creations: int
    """New LoRAAdapters; each is deleted again, which is a change, too."""
    slow: int
    """Edits while the engine of one pod stands still."""
    slow_seconds: float
    """For so long."""
    pause_seconds: float
    """Between an answer of a pod and the next question to it."""
    between_seconds: float
    """Between the end of a change and the next one."""

    @property
    def most_sources(self) -> int:
        """Folders with files of their own: one for each change to another source, for each creation, and the first."""
        return 1 + self.sources + self.creations


def settings(*, seed: int, changes: int, quick: bool, pause_seconds: float = PAUSE_SECONDS) -> Settings:
    """The run that a user asked for: so many changes of each kind."""
    count = 5 if quick else changes
    return Settings(
        seed=seed,
        weights=count,
        sources=count,
        creations=count,
        slow=1 if quick else 5,
        slow_seconds=10.0,
        pause_seconds=pause_seconds,
        between_seconds=0.5,
    )
