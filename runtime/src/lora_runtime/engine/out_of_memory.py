"""What torch says when there is no memory, with what was needed and what was there in bytes. Pure."""

import re

_SAID = re.compile(
    r"out of memory|OutOfMemoryError|DefaultCPUAllocator: (?:can't allocate|not enough) memory"
    r"|Cannot allocate memory|^MemoryError$"
)
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SIZE = r"([\d.]+) (bytes|KiB|MiB|GiB)"
_NEEDED = re.compile(rf"[Tt]ried to allocate {_SIZE}")
_FREE = re.compile(rf"of which {_SIZE} is free")


def is_said(words: str) -> bool:
    """Whether an error is about memory."""
    return _SAID.search(words) is not None


def in_bytes(words: str, available_bytes: int) -> str:
    """An error of torch, with the numbers that count in front; any other as it is.

    Args:
        words: of the error.
        available_bytes: of this machine's memory, for allocators that do not say what there was.
    """
    if not is_said(words):
        return words
    needed, free = (_bytes(found.search(words)) for found in (_NEEDED, _FREE))
    what = "an unknown number of" if needed is None else str(needed)
    return f"out of memory: {what} bytes needed, {available_bytes if free is None else free} available: {words}"


def _bytes(found: re.Match[str] | None) -> int | None:
    return None if found is None else round(float(found[1]) * _UNITS[found[2]])
