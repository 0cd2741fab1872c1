"""How large a run is."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Shape:
    """How adapters lie over models, and models over pods."""

    name: str
    models: int
    pods: int
    """Of each model."""

    @property
    def all_pods(self) -> int:
        """Pods of all models."""
        return self.models * self.pods

    def model_of(self, index: int) -> str:
        """Which model the n-th adapter belongs to."""
        return f"m{index % self.models}"


ONE_MODEL = Shape("one model of ten pods", 1, 10)
TEN_MODELS = Shape("ten models of one pod each", 10, 1)


@dataclass(frozen=True, slots=True)
class Settings:
    """One run."""

    growth: tuple[int, ...] = (100, 500, 1000, 2000, 5000)
    """Adapters on one model, step by step."""
    spread: int = 5000
    """Adapters over ten models."""
    burst: int = 500
    """Adapters that are created at once."""
    changes: int = 12
    """Changes one after the other, each when the one before has arrived."""
    pairs: int = 8
    """Of phases with and without an adapter that loads for a long time."""
    changes_in_phase: int = 16
    slow_seconds: float = 10.0
    idle_seconds: float = 10.0
    long_idle_at: int = 500
    """Adapters on one model; and at the largest numbers."""
    long_idle_seconds: float = 330.0
    """Longer than the operator's rarest regular work."""


def settings(*, adapters: int, quick: bool) -> Settings:
    """The run that a user asked for."""
    full = Settings()
    growth = (*(n for n in full.growth if n < adapters), adapters)
    full = replace(full, growth=growth, spread=adapters)
    if not quick:
        return full
    return replace(
        full, growth=(100, 500), spread=500, burst=100, changes=6, pairs=1, changes_in_phase=4, slow_seconds=5.0,
        idle_seconds=10.0, long_idle_seconds=10.0,
    )  # fmt: skip
