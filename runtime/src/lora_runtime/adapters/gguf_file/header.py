"""The header of a GGUF file from a stranger: fields and where each tensor lies, before any tensor is read.

The library's own reader believes every count: an array that claims 2^40 elements has it collect empty ones until the
memory is full. This one goes through the same format, takes nothing for granted, and leaves types and sizes to the library.
"""

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGUF_DEFAULT_ALIGNMENT, GGMLQuantizationType, GGUFValueType, Keys, dequantize

from lora_runtime.adapters.errors import Refused, malformed, shown, unsupported
from lora_runtime.adapters.gguf_file.pair import StoredTensor
from lora_runtime.adapters.header import Shape

WHAT = "the GGUF file"
"""In messages: its own name is not known here."""

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_FIELDS_AT_MOST = 4096
_TENSORS_AT_MOST = 1 << 16
_DIMENSIONS_AT_MOST = 4
_NAME_BYTES_AT_MOST = 512
_TEXT_BYTES_KEPT = 1024
"""Of a field's text: what is compared and shown. The rest, such as a chat template, is skipped."""
_ALIGNMENT_AT_MOST = 1 << 16

_FORMATS = {
    GGUFValueType.UINT8: "<B",
    GGUFValueType.INT8: "<b",
    GGUFValueType.UINT16: "<H",
    GGUFValueType.INT16: "<h",
    GGUFValueType.UINT32: "<I",
    GGUFValueType.INT32: "<i",
    GGUFValueType.FLOAT32: "<f",
    GGUFValueType.BOOL: "<?",
    GGUFValueType.UINT64: "<Q",
    GGUFValueType.INT64: "<q",
    GGUFValueType.FLOAT64: "<d",
}

Field = str | int | float | bool | None
"""Of an array, which no adapter needs, only that it is there: None."""


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """All that the file says beside the values."""

    fields: Mapping[str, Field]
    tensors: Mapping[str, StoredTensor]


def read_gguf_header(path: Path, max_bytes: int) -> GGUFHeader:
    """Fields and tensors of a file; time and memory are bounded by `max_bytes`, and by what is really there.

    Raises:
        Refused: it is no GGUF file, or lies about what it holds.
    """
    size = path.stat().st_size
    if size < len(_MAGIC):
        raise _no_gguf(f"it has {size} bytes")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _read(_Cursor(data, size, max_bytes), size)


def _read(cursor: "_Cursor", size: int) -> GGUFHeader:
    magic = cursor.take(len(_MAGIC), "the first four bytes")
    if magic != _MAGIC:
        raise _no_gguf(f"it begins with {shown(repr(magic))}")
    version = cursor.number("<I", "the version")
    if version not in _VERSIONS:
        if version & 0xFFFF == 0:
            raise unsupported(f"{WHAT} is for machines of the other byte order; convert it without --bigendian")
        raise _no_gguf(
            f"it has version {version}, and versions {_VERSIONS} are read; convert it with a newer llama.cpp"
        )
    tensor_count = cursor.count(_TENSORS_AT_MOST, "tensors")
    field_count = cursor.count(_FIELDS_AT_MOST, "fields")
    fields: dict[str, Field] = {}
    for index in range(field_count):
        name = cursor.name(f"field {index}")
        if name in fields:
            raise malformed(f"{WHAT} has the field {name} twice")
        fields[name] = cursor.value(cursor.number("<I", f"the type of {name}"), name)
    described: dict[str, tuple[Shape, int, int]] = {}
    for index in range(tensor_count):
        name = cursor.name(f"tensor {index}")
        if name in described:
            raise malformed(f"{WHAT} has the tensor {name} twice")
        described[name] = _described(cursor, name)
    start = _aligned(cursor.position, _alignment(fields))
    tensors = {name: _stored(name, start, size, *facts) for name, facts in described.items()}
    _refuse_overlaps(tensors)
    return GGUFHeader(fields, tensors)


class _Cursor:
    """A position in the header, which nothing takes beyond its end."""

    def __init__(self, data: mmap.mmap, size: int, limit: int) -> None:
        self._data, self._size, self._limit = data, size, limit
        self.position = 0

    def skip(self, count: int, what: str) -> None:
        end = self.position + count
        if end > self._size:
            raise malformed(
                f"{WHAT} is cut short, or lies: {what} would end at byte {end}, and the file has {self._size}"
            )
        if end > self._limit:
            raise malformed(
                f"the header of {WHAT} is longer than {self._limit} bytes (at {what}); is it a whole model, and no adapter?"
            )
        self.position = end

    def take(self, count: int, what: str) -> bytes:
        start = self.position
        self.skip(count, what)
        return self._data[start : self.position]

    def number(self, form: str, what: str) -> int:
        (number,) = struct.unpack(form, self.take(struct.calcsize(form), what))
        return int(number)

    def count(self, limit: int, what: str) -> int:
        number = self.number("<Q", f"the number of {what}")
        if number > limit:
            raise malformed(f"{WHAT} claims {number} {what}; at most {limit} are read")
        return number

    def name(self, what: str) -> str:
        length = self.number("<Q", f"the name of {what}")
        if length > _NAME_BYTES_AT_MOST:
            raise malformed(
                f"{WHAT} claims a name of {length} bytes for {what}; at most {_NAME_BYTES_AT_MOST} are read"
            )
        data = self.take(length, f"the name of {what}")
        name = data.decode(errors="replace")
        if not name.isprintable() or "\ufffd" in name:
            raise malformed(f"{WHAT} has a name for {what} that cannot be printed: {shown(ascii(data))}")
        return name

    def value(self, kind: int, name: str) -> Field:
        if kind == GGUFValueType.STRING:
            length = self.number("<Q", name)
            start = self.position
            self.skip(length, name)
            return self._data[start : start + min(length, _TEXT_BYTES_KEPT)].decode(errors="replace")
        if kind == GGUFValueType.ARRAY:
            self._skip_array(name)
            return None
        form = self._form(kind, name)
        (found,) = struct.unpack(form, self.take(struct.calcsize(form), name))
        return found  # type: ignore[no-any-return]  # one of Field's, by the format

    def _skip_array(self, name: str) -> None:
        kind, length = self.number("<I", name), self.number("<Q", name)
        if kind != GGUFValueType.STRING:
            self.skip(length * struct.calcsize(self._form(kind, name)), name)
            return
        for _ in range(length):  # ends with the header, since each takes eight bytes of it
            self.skip(self.number("<Q", name), name)

    def _form(self, kind: int, name: str) -> str:
        form = _FORMATS.get(kind)
        if form is None:
            raise malformed(f"{WHAT} has the field {name} of the unknown type {kind}")
        return str(form)


def _described(cursor: _Cursor, name: str) -> tuple[Shape, int, int]:
    dimensions = cursor.number("<I", name)
    if dimensions > _DIMENSIONS_AT_MOST:
        raise malformed(f"tensor {name} has {dimensions} dimensions; at most {_DIMENSIONS_AT_MOST} are read")
    shape = tuple(cursor.number("<Q", name) for _ in range(dimensions))
    return shape[::-1], cursor.number("<I", name), cursor.number("<Q", name)


def _alignment(fields: Mapping[str, Field]) -> int:
    found = fields.get(Keys.General.ALIGNMENT, GGUF_DEFAULT_ALIGNMENT)
    if type(found) is not int or not 0 < found <= _ALIGNMENT_AT_MOST or found & (found - 1):
        raise malformed(
            f"{WHAT} has {Keys.General.ALIGNMENT} {found}; it must be a power of two up to {_ALIGNMENT_AT_MOST}"
        )
    return found


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _stored(name: str, data_start: int, size: int, shape: Shape, number: int, offset: int) -> StoredTensor:
    try:
        kind = GGMLQuantizationType(number)
        block, block_bytes = GGML_QUANT_SIZES[kind]
    except (ValueError, KeyError) as error:
        raise malformed(f"tensor {name} has the unknown element type {number}") from error
    if not _can_be_read(kind):
        raise unsupported(
            f"tensor {name} has element type {kind.name}, which cannot be de-quantised; convert the adapter with "
            f"--outtype f32, f16, bf16 or q8_0"
        )
    elements = 1
    for dimension in shape:
        elements *= dimension
    if not shape or not elements or shape[-1] % block:
        raise malformed(f"tensor {name} has shape {list(shape)}, which {kind.name} cannot hold in blocks of {block}")
    start, size_bytes = data_start + offset, elements // block * block_bytes
    if start + size_bytes > size:
        raise malformed(
            f"{WHAT} is cut short, or lies: tensor {name} of shape {list(shape)} and type {kind.name} would end at "
            f"byte {start + size_bytes}, and the file has {size}"
        )
    return StoredTensor(shape, kind.name, start, size_bytes)


@cache
def _can_be_read(kind: GGMLQuantizationType) -> bool:
    """The library does not list what it can de-quantise."""
    try:
        dequantize(np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except NotImplementedError:
        return False
    return True


def _refuse_overlaps(tensors: Mapping[str, StoredTensor]) -> None:
    in_order = sorted(tensors.items(), key=lambda item: item[1].start)
    for (before, first), (after, second) in pairwise(in_order):
        if first.start + first.size_bytes > second.start:
            raise malformed(f"{WHAT} lies: the bytes of tensors {before} and {after} overlap")


def _no_gguf(why: str) -> Refused:
    return malformed(f"{WHAT} is no GGUF file that can be read: {why}")
