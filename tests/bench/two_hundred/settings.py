"""How large a run is."""

from dataclasses import dataclass

from bench.scale.settings import Shape

TWO_PODS = Shape("one model of two pods", 1, 2)
ADAPTERS = 200


@dataclass(frozen=True, slots=True)
class Settings:
    """One run."""

    bulks: tuple[int, ...] = (50, ADAPTERS)
    """Adapters that are created at once, and deleted at once; the last ones are there for everything else."""
    idle_seconds: float = 60.0
    creations: int = 20
    """One after the other, each deleted again."""
    restarts: int = TWO_PODS.pods
    """Each of another pod."""
    slow: int = 2
    """So often an adapter is created beside one that loads for long."""
    slow_seconds: float = 10.0


def settings(*, quick: bool) -> Settings:
    """The run that a user asked for."""
    return Settings(idle_seconds=10.0, creations=5, restarts=1, slow=1, slow_seconds=5.0) if quick else Settings()
