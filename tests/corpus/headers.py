"""Files that are not what they are named, and headers that lie."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

from corpus.hostile import Q_PROJ, Damage, Hostile, bytes_of, entry, safetensors_file
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import TENSORS_FILE

MALFORMED = Reason.MALFORMED_ADAPTER
A, B = f"{Q_PROJ}.lora_A.weight", f"{Q_PROJ}.lora_B.weight"
BYTES = 4 * 8 * 128
DATA = bytes(2 * BYTES)
TRUE_A, TRUE_B = entry(), entry((128, 8), BYTES)


def _zip() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("adapter_model.safetensors", DATA)
    return held.getvalue()


class _Bomb:
    """Would end the process that unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        import os

        return os._exit, (66,)


def _cut(folder_bytes: int) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / TENSORS_FILE
        path.write_bytes(path.read_bytes()[:folder_bytes])

    return damage


def _sparse(size: int, start: bytes = b"") -> Damage:
    def damage(folder: Path) -> None:
        with (folder / TENSORS_FILE).open("wb") as file:
            file.write(start)
            file.truncate(size)

    return damage


def lying(
    name: str, says: tuple[str, ...], header: dict[str, Any] | bytes, data: bytes = DATA, length: int | None = None
) -> Hostile:
    """A file with this header."""
    return Hostile(name, MALFORMED, says, bytes_of(safetensors_file(header, data, length)))


NOT_SAFETENSORS = tuple(
    Hostile(name, MALFORMED, (TENSORS_FILE, "is not a safetensors file"), bytes_of(content))
    for name, content in (
        ("empty", b""),
        ("seven-bytes", b"\1\0\0\0\0\0\0"),
        ("a-pickle-by-another-name", pickle.dumps(_Bomb())),
        ("an-archive", _zip()),
        ("a-page-of-a-web-server", b"<!DOCTYPE html><title>Log in</title>" * 20),
        ("a-pointer-of-git-lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"),
        ("zeros", bytes(4096)),
    )
)

LENGTHS = (
    Hostile("header-cut", MALFORMED, (TENSORS_FILE, "cut short"), _cut(100)),
    Hostile("data-cut", MALFORMED, (TENSORS_FILE, "v_proj.lora_B.weight"), _cut(-4)),
    lying("header-beyond-the-file", (TENSORS_FILE, "claims 1099511627776"), {A: TRUE_A, B: TRUE_B}, length=1 << 40),
    lying("header-of-all-ones", (TENSORS_FILE, "claims 18446744073709551615"), {A: TRUE_A}, length=(1 << 64) - 1),
    lying("header-shorter-than-it-is", (TENSORS_FILE, "JSON"), {A: TRUE_A, B: TRUE_B}, length=30),
    Hostile(
        "header-of-forty-megabytes", MALFORMED, (TENSORS_FILE, "claims 41943040", "at most 33554432"),
        _sparse(41 << 20, (40 << 20).to_bytes(8, "little") + b"{"),
    ),
    Hostile("twenty-gigabytes", Reason.SOURCE_TOO_LARGE, ("at most", "bytes are fetched"), _sparse(20 << 30)),
)  # fmt: skip

OFFSETS = (
    lying("data-overlapping", (TENSORS_FILE, "invalid offset for tensor"), {A: TRUE_A, B: entry((128, 8), 0)}),
    lying("data-with-a-hole", (B,), {A: TRUE_A, B: entry((128, 8), BYTES + 4)}, DATA + bytes(4)),
    lying("data-beyond-the-file", (B, "8192 bytes of data"), {A: TRUE_A, B: entry((128, 8), 1 << 40)}),
    lying("data-that-nobody-names", (TENSORS_FILE, "not fully covered"), {A: TRUE_A, B: TRUE_B}, DATA + bytes(64)),
    lying("data-backwards", (A,), {A: entry(begin=BYTES, end=0), B: TRUE_B}),
    lying("data-of-another-size", (A, "[16, 128]"), {A: entry((16, 128), end=BYTES), B: TRUE_B}),
    lying("shape-of-2-to-the-62", (A, str(2**62)), {A: entry((2**62, 4), end=BYTES), B: TRUE_B}),
    lying("shape-of-a-terabyte", (A, str(2**38)), {A: entry((2**38, 1)), B: TRUE_B}),
    lying(
        "shape-of-forty-thousand-dimensions", (A, "40000 dimensions", "at most 8"),
        {A: {**TRUE_A, "shape": [2**62 + 1] * 40_000}, B: TRUE_B},
    ),
    lying("shape-of-many-ones", (A, "1002 dimensions", "at most 8"), {A: entry((8, 128, *[1] * 1000)), B: TRUE_B}),
    lying("shape-negative", (A, "-8"), {A: {**TRUE_A, "shape": [-8, -128]}, B: TRUE_B}),
    lying("shape-of-floats", (A, "8.0"), {A: {**TRUE_A, "shape": [8.0, 128]}, B: TRUE_B}),
    lying("element-type-unknown", (TENSORS_FILE, "F7"), {A: {**TRUE_A, "dtype": "F7"}, B: TRUE_B}),
)  # fmt: skip

TEXTS = (
    lying("no-tensors", (TENSORS_FILE, "holds no LoRA matrices"), {}, b""),
    lying("header-a-list", (TENSORS_FILE, "expected"), b"[1, 2]", b""),
    lying("header-not-utf8", (TENSORS_FILE, "UTF-8"), b'{"\xff\xfe": 1}', b""),
    lying("header-nested", (TENSORS_FILE, "recursion"), b'{"a":' * 5000 + b"1" + b"}" * 5000, b""),
    lying("header-of-spaces", (TENSORS_FILE, "JSON"), b" " * 4096, b""),
    lying("header-of-sixteen-megabytes-of-brackets", (TENSORS_FILE,), b'{"__metadata__":' + b"[" * (16 << 20), b""),
    lying("metadata-of-numbers", (TENSORS_FILE, "string"), {"__metadata__": {"format": 1}, A: TRUE_A, B: TRUE_B}),
    lying(
        "a-tensor-twice", (TENSORS_FILE, A, "twice"),
        b'{"%s": %s, "%s": %s, "%s": %s}' % tuple(
            part.encode() for part in (
                A, '{"dtype":"F32","shape":[8,128],"data_offsets":[0,4096]}',
                B, '{"dtype":"F32","shape":[128,8],"data_offsets":[4096,8192]}',
                A, '{"dtype":"F32","shape":[8,128],"data_offsets":[0,4096]}',
            )
        ),
    ),
    lying(
        "offsets-twice", (TENSORS_FILE, "duplicate field `dtype`"),
        b'{"%s": {"dtype":"I8","dtype":"F32","shape":[8,128],"data_offsets":[0,4096]}}' % A.encode(), bytes(BYTES),
    ),
)  # fmt: skip

CASES = NOT_SAFETENSORS + LENGTHS + OFFSETS + TEXTS
