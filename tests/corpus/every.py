"""All of the corpus."""

from pathlib import Path

from corpus import configs, ggufs, headers, places, tensors
from corpus.hostile import Hostile

CORPUS: tuple[Hostile, ...] = tensors.CASES + configs.CASES + headers.CASES + ggufs.CASES + places.CASES


def write(volume: Path, base: Path) -> None:
    """Writes each adapter into a folder of its own inside a volume's folder `hostile`."""
    for case in CORPUS:
        case.write(volume / "hostile" / case.name, base)


def path_of(case: Hostile) -> str:
    """What a volume source would say to get it."""
    return case.path or f"hostile/{case.name}"
