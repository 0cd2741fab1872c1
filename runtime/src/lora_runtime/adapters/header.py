"""The header of a safetensors file from a stranger: names, shapes and element types, before any tensor is read."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lora_runtime.adapters.errors import TENSORS_FILE, DuplicateKey, malformed, shown, unique_keys

Shape = tuple[int, ...]

_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16}
"""Of one element; of the types that an adapter may have."""
_LENGTH_BYTES = 8
_NAME_CHARACTERS_AT_MOST = 512
_DIMENSIONS_AT_MOST = 8
"""Of a tensor; LoRA has two. The product of a stranger's many numbers takes seconds, and holds all other threads up."""
_EXPLAINED_AT_MOST = 1 << 20
"""Bytes of a broken header that are looked through for the tensor at fault."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the header says of one tensor."""

    shape: Shape
    dtype: str
    """As safetensors names it: F32, F16, BF16, F64."""


def read_header(path: Path, max_bytes: int) -> dict[str, Entry]:
    """Names, shapes and element types of every tensor; no tensor is read.

    Memory is bounded by the header's length, and that by `max_bytes`.

    Raises:
        Refused: it is no safetensors file, or lies about what it holds.
    """
    length = _length(path, max_bytes)
    try:
        with safe_open(path, framework="pt") as file:
            found = {key: _entry(key, file.get_slice(key)) for key in file.keys()}  # noqa: SIM118  (not a dict)
    except SafetensorError as error:
        culprit = _culprit(path, length) if length <= _EXPLAINED_AT_MOST else ""
        raise malformed(f"{TENSORS_FILE} is not a safetensors file: {culprit}{shown(str(error))}") from error
    _refuse_duplicates(path, length)
    for key in found:
        if len(key) > _NAME_CHARACTERS_AT_MOST:
            raise malformed(
                f"{TENSORS_FILE} names a tensor with {len(key)} characters: {shown(key[:_NAME_CHARACTERS_AT_MOST])}"
            )
        if not key.isprintable():
            raise malformed(f"{TENSORS_FILE} names a tensor with characters that cannot be printed: {shown(key)}")
    return found


def _length(path: Path, max_bytes: int) -> int:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if size < _LENGTH_BYTES or length > min(max_bytes, size - _LENGTH_BYTES):
        raise malformed(
            f"{TENSORS_FILE} is not a safetensors file, or is cut short: {size} bytes, "
            f"of which the header claims {length} (at most {max_bytes} are read)"
        )
    return length


def _entry(key: str, view: Any) -> Entry:
    shape = view.get_shape()
    if len(shape) > _DIMENSIONS_AT_MOST:
        raise malformed(_too_many(key, len(shape)))
    return Entry(tuple(shape), str(view.get_dtype()))


def _too_many(key: str, dimensions: int) -> str:
    return f"tensor {shown(key)} has {dimensions} dimensions; at most {_DIMENSIONS_AT_MOST} are read"


def _text(path: Path, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(_LENGTH_BYTES)
        return file.read(length)


def _refuse_duplicates(path: Path, length: int) -> None:
    """Readers disagree on which of two entries counts; none of them complains."""
    try:
        json.loads(_text(path, length), object_pairs_hook=unique_keys)
    except DuplicateKey as error:
        raise malformed(f"the header of {TENSORS_FILE} names {shown(error.key)} twice") from error
    except (ValueError, RecursionError) as error:
        raise malformed(f"the header of {TENSORS_FILE} is not JSON: {shown(str(error))}") from error


def _culprit(path: Path, length: int) -> str:
    """The first tensor that cannot be as the header says, in words; safetensors seldom names it."""
    try:
        header = json.loads(_text(path, length))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(header, dict):
        return ""
    data_bytes = path.stat().st_size - _LENGTH_BYTES - length
    for key, entry in header.items():
        if key == "__metadata__":
            continue
        if (dimensions := _dimensions(entry)) > _DIMENSIONS_AT_MOST:
            return f"{_too_many(key, dimensions)}: "
        if not _is_sane(entry, data_bytes):
            return f"tensor {shown(key)} is said to be {shown(json.dumps(entry))}, with {data_bytes} bytes of data: "
    return ""


def _dimensions(entry: object) -> int:
    shape = entry.get("shape") if isinstance(entry, dict) else None
    return len(shape) if isinstance(shape, list) else 0


def _is_sane(entry: object, data_bytes: int) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = _sizes(entry.get("shape")), _sizes(entry.get("data_offsets"))
    if shape is None or offsets is None or len(offsets) != 2:
        return False
    begin, end = offsets
    bits = _BITS.get(entry["dtype"])
    return begin <= end <= data_bytes and (bits is None or math.prod(shape) * bits == 8 * (end - begin))


def _sizes(value: object) -> list[int] | None:
    if isinstance(value, list) and all(isinstance(item, int) and 0 <= item < 1 << 63 for item in value):
        return value
    return None
