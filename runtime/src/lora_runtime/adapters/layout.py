"""Which files make an adapter: the two that PEFT writes, or the one that llama.cpp's converter writes."""

from collections.abc import Collection
from pathlib import Path

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import ADAPTER_FILES, TENSORS_FILE, incomplete, not_fetched, shown

GGUF_FILE = "adapter.gguf"
"""What a GGUF file is called in the store, whatever its source calls it: its name says nothing about its bytes."""
GGUF_ENDING = ".gguf"

_NAMED_AT_MOST = 8


def choose(place: str, present: Collection[str], named: str | None = None) -> dict[str, str]:
    """What to fetch: by its name in the store, the name that each file has at its place.

    Args:
        place: Where it is, in words: `folder pirate of volume shared`.
        present: Names of the files directly inside.
        named: The GGUF file that the source names, if it names one.

    Raises:
        Refused: the files of an adapter are not there, or which of several is meant cannot be told.
    """
    found = sorted(name for name in present if name.endswith(GGUF_ENDING))
    if named is not None:
        if named in found:
            return {GGUF_FILE: named}
        raise not_fetched(
            Reason.SOURCE_NOT_FOUND, f"{place} has no {named}; it has: {_listed(sorted(present))}", retryable=True
        )
    if TENSORS_FILE not in present and len(found) == 1:
        return {GGUF_FILE: found[0]}
    if TENSORS_FILE not in present and found:
        raise not_fetched(
            Reason.SOURCE_NOT_FOUND,
            f"{place} has several GGUF files: {_listed(found)}; let the source's path end with the name of one",
            retryable=True,
        )
    problem = incomplete(place, list(present))
    if problem is not None:
        raise problem
    return {name: name for name in ADAPTER_FILES}


def split(path: str) -> tuple[str, str | None]:
    """The folder that a source's path leads to, and the GGUF file in it that the path names, if any."""
    folder, _, name = path.rstrip("/").rpartition("/")
    return (folder, name) if name.endswith(GGUF_ENDING) else (path, None)


def files_in(folder: Path) -> tuple[str, ...]:
    """Names of the files of an adapter in the store, sorted."""
    return tuple(sorted(ADAPTER_FILES)) if gguf_at(folder) is None else (GGUF_FILE,)


def tensors_in(folder: Path) -> Path:
    """The file with the tensors of an adapter in the store."""
    return gguf_at(folder) or folder / TENSORS_FILE


def gguf_at(place: Path) -> Path | None:
    """The GGUF file of a folder as the store has it, or the file itself; None where PEFT's files are."""
    file = place if place.suffix == GGUF_ENDING else place / GGUF_FILE
    return file if file.is_file() else None


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return (", ".join(shown(name) for name in names[:_NAMED_AT_MOST]) or "nothing") + more
