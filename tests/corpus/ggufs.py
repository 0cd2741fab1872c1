"""GGUF files that lie, or are no adapters for this model."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus.hostile import Damage, Hostile
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.layout import GGUF_FILE

MALFORMED, UNSUPPORTED, MISMATCH = Reason.MALFORMED_ADAPTER, Reason.UNSUPPORTED_FEATURE, Reason.BASE_MODEL_MISMATCH
A, B = "blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b"
ONES = struct.pack("<f", 1.0) * (8 * 128)
"""Each matrix of q_proj at rank 8."""
U8, U32, F32, TEXT, ARRAY = 0, 4, 6, 8, 9
"""Types of fields."""


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def of_text(value: str) -> tuple[int, bytes]:
    return TEXT, text(value)


SOUND: Mapping[str, tuple[int, bytes]] = {
    "general.architecture": of_text("llama"),
    "general.type": of_text("adapter"),
    "adapter.type": of_text("lora"),
    "adapter.lora.alpha": (F32, struct.pack("<f", 16.0)),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """An entry of the header, true or not; the data is made to fit what it says."""

    name: str
    dimensions: tuple[int, ...]
    offset: int
    type: int = 0

    def packed(self) -> bytes:
        form = f"<I{len(self.dimensions)}QIQ"
        return text(self.name) + struct.pack(form, len(self.dimensions), *self.dimensions, self.type, self.offset)


TRUE_A, TRUE_B = Tensor(A, (128, 8), 0), Tensor(B, (8, 128), len(ONES))


@dataclass(frozen=True, slots=True)
class File:
    """All of a file; as it stands it is a sound adapter."""

    fields: Mapping[str, tuple[int, bytes]] = field(default_factory=lambda: SOUND)
    tensors: Sequence[Tensor] = (TRUE_A, TRUE_B)
    data: bytes = 2 * ONES
    magic: bytes = b"GGUF"
    version: bytes = struct.pack("<I", 3)
    field_count: int | None = None
    tensor_count: int | None = None
    more: bytes = b""
    """Fields behind the others."""
    cut: int | None = None

    def packed(self) -> bytes:
        fields = [text(name) + struct.pack("<I", kind) + value for name, (kind, value) in self.fields.items()]
        counts = (
            len(self.tensors) if self.tensor_count is None else self.tensor_count,
            len(fields) if self.field_count is None else self.field_count,
        )
        head = self.magic + self.version + struct.pack("<2Q", *counts) + b"".join(fields) + self.more
        head += b"".join(tensor.packed() for tensor in self.tensors)
        return (head + bytes(-len(head) % 32) + self.data)[: self.cut]


def instead(content: bytes, *names: str) -> Damage:
    """Puts GGUF files in the place of PEFT's two."""

    def damage(folder: Path) -> None:
        for file in folder.iterdir():
            file.unlink()
        for name in names or (GGUF_FILE,):
            (folder / name).write_bytes(content)

    return damage


def lying(name: str, says: tuple[str, ...], reason: Reason = MALFORMED, **changes: Any) -> Hostile:
    return Hostile(f"gguf-{name}", reason, says, instead(File(**changes).packed()))


def saying(name: str, says: tuple[str, ...], reason: Reason = MALFORMED, **fields: tuple[int, bytes]) -> Hostile:
    """A file with other fields; dots in their names are given as underscores."""
    return lying(
        name, says, reason, fields={**SOUND, **{key.replace("_", "."): value for key, value in fields.items()}}
    )


def one_more(name: bytes, kind: int, value: bytes) -> dict[str, Any]:
    return {
        "field_count": len(SOUND) + 1,
        "more": struct.pack("<Q", len(name)) + name + struct.pack("<I", kind) + value,
    }


def array(kind: int, length: int) -> bytes:
    return struct.pack("<IQ", kind, length)


HEADERS = (
    lying("empty", ("it has 0 bytes",), cut=0),
    lying("of-another-format", ("it begins with b'PK",), magic=b"PK\3\4"),
    lying("of-another-version", ("it has version 1",), version=struct.pack("<I", 1)),
    lying("of-the-other-byte-order", ("--bigendian",), UNSUPPORTED, version=struct.pack(">I", 3)),
    lying("header-cut", ("cut short", "adapter.lora.alpha"), cut=170),
    lying("data-cut", ("cut short", B, "the file has"), cut=-4),
    lying("of-2-to-the-60-fields", ("claims 1152921504606846976 fields",), field_count=1 << 60),
    lying("of-2-to-the-60-tensors", ("claims 1152921504606846976 tensors",), tensor_count=1 << 60),
    lying("with-more-fields-than-there-are", ("cut short",), field_count=4000, tensors=(), data=b""),
    lying(
        "with-an-exabyte-of-text",
        ("cut short", "general.name"),
        **one_more(b"general.name", TEXT, struct.pack("<Q", 1 << 60)),
    ),
    lying(
        "with-a-name-of-an-exabyte",
        ("claims a name of 1152921504606846976 bytes",),
        field_count=5,
        more=struct.pack("<Q", 1 << 60),
    ),
    lying("with-an-array-of-an-exabyte", ("cut short", "x.y"), **one_more(b"x.y", ARRAY, array(U8, 1 << 60))),
    lying("with-an-array-of-2-to-the-60-texts", ("cut short", "x.y"), **one_more(b"x.y", ARRAY, array(TEXT, 1 << 60))),
    lying(
        "with-arrays-in-arrays",
        ("x.y of the unknown type 9",),
        **one_more(b"x.y", ARRAY, array(ARRAY, 1) + array(U8, 0)),
    ),
    lying("with-a-field-of-an-unknown-type", ("x.y of the unknown type 77",), **one_more(b"x.y", 77, bytes(8))),
    lying("with-a-field-twice", ("general.type twice",), **one_more(b"general.type", *of_text("model"))),
    lying("with-a-name-that-breaks-a-line", ("cannot be printed",), **one_more(b"x\ny", U8, b"\0")),
    lying("with-a-name-that-is-no-text", ("cannot be printed",), **one_more(b"\xff\xfe", U8, b"\0")),
    lying(
        "with-a-header-of-nine-megabytes",
        ("longer than 8388608 bytes", "whole model"),
        **one_more(b"x.y", ARRAY, array(U8, 9 << 20) + bytes(9 << 20)),
    ),
    saying("of-no-alignment", ("general.alignment 33", "power of two"), general_alignment=(U32, struct.pack("<I", 33))),
)

TENSORS = (
    lying("with-a-tensor-twice", (f"tensor {A} twice",), tensors=(TRUE_A, TRUE_A)),
    lying("with-data-beyond-the-file", (B, "would end at byte"), tensors=(TRUE_A, Tensor(B, (8, 128), 1 << 62))),
    lying("with-data-overlapping", (A, B, "overlap"), tensors=(TRUE_A, Tensor(B, (8, 128), 32))),
    lying("of-2-to-the-64-elements", (A, "would end at byte"), tensors=(Tensor(A, (1 << 32, 1 << 32), 0), TRUE_B)),
    lying("of-a-thousand-dimensions", (A, "1000 dimensions"), tensors=(Tensor(A, (1,) * 1000, 0), TRUE_B)),
    lying("of-no-elements", (A, "[0, 128]"), tensors=(Tensor(A, (128, 0), 0), TRUE_B)),
    lying("of-an-unknown-element-type", (A, "unknown element type 999"), tensors=(Tensor(A, (128, 8), 0, 999), TRUE_B)),
    lying("of-integers", (A, "I32", "--outtype"), UNSUPPORTED, tensors=(Tensor(A, (128, 8), 0, 26), TRUE_B)),
    lying("of-blocks-that-do-not-fit", (B, "blocks of 32"), tensors=(TRUE_A, Tensor(B, (8, 128), len(ONES), 8))),
    lying("of-three-dimensions", (A, "has two dimensions"), tensors=(Tensor(A, (128, 4, 2), 0), TRUE_B)),
    lying("with-nan", (B, "1 values that are NaN"), data=ONES + struct.pack("<f", float("nan")) + ONES[4:]),
    lying("without-a-partner", (A, "has no partner"), tensors=(TRUE_A,)),
    lying("without-tensors", ("holds no LoRA matrices",), tensors=()),
    lying("of-two-ranks", (A, B, "rank 8 and 4"), tensors=(TRUE_A, Tensor(B, (4, 128), len(ONES)))),
    lying(
        "with-a-whole-norm",
        ("blk.0.attn_norm.weight", "replaces"),
        UNSUPPORTED,
        tensors=(TRUE_A, TRUE_B, Tensor("blk.0.attn_norm.weight", (128,), 2 * len(ONES))),
        data=3 * ONES,
    ),
    lying(
        "with-a-name-of-pefts",
        ("base_model.model.x", "as llama.cpp names them"),
        tensors=(Tensor("base_model.model.x.lora_A", (128, 8), 0),),
    ),
    lying(
        "for-a-layer-that-is-not-there",
        ("blk.9.attn_q",),
        Reason.UNKNOWN_MODULES,
        tensors=(
            TRUE_A,
            TRUE_B,
            Tensor("blk.9.attn_q.weight.lora_a", (128, 8), 2 * len(ONES)),
            Tensor("blk.9.attn_q.weight.lora_b", (8, 128), 3 * len(ONES)),
        ),
        data=4 * ONES,
    ),
    lying(
        "with-a-module-under-two-names",
        ("model.layers.0.self_attn.q_proj twice", "blk.0.attn_q"),
        tensors=(
            TRUE_A,
            TRUE_B,
            Tensor("model.layers.0.self_attn.q_proj.weight.lora_a", (128, 8), 2 * len(ONES)),
            Tensor("model.layers.0.self_attn.q_proj.weight.lora_b", (8, 128), 3 * len(ONES)),
        ),
        data=4 * ONES,
    ),
    lying(
        "of-another-width", (A, "[8, 64]", "[8, 128]"), Reason.SHAPE_MISMATCH, tensors=(Tensor(A, (64, 8), 0), TRUE_B)
    ),
    lying(
        "of-rows-that-are-no-heads",
        (B, "4 heads"),
        Reason.SHAPE_MISMATCH,
        tensors=(TRUE_A, Tensor(B, (8, 100), len(ONES))),
    ),
)

OTHERS = (
    saying("a-whole-model", ("general.type is 'model'", "convert_lora_to_gguf.py"), general_type=of_text("model")),
    saying("a-control-vector", ("adapter.type 'control'",), UNSUPPORTED, adapter_type=of_text("control")),
    saying("of-another-architecture", ("'qwen2'", "llama"), MISMATCH, general_architecture=of_text("qwen2")),
    saying("of-an-architecture-that-breaks-a-line", (r"x\nERROR",), MISMATCH, general_architecture=of_text("x\nERROR")),
    saying("alpha-nan", ("adapter.lora.alpha nan",), adapter_lora_alpha=(F32, struct.pack("<f", float("nan")))),
    saying("alpha-of-text", ("adapter.lora.alpha '16'",), adapter_lora_alpha=of_text("16")),
    lying(
        "activated",
        ("activated LoRA",),
        UNSUPPORTED,
        **one_more(b"adapter.alora.invocation_tokens", ARRAY, array(U32, 1) + bytes(4)),
    ),
    Hostile(
        "gguf-several", Reason.SOURCE_NOT_FOUND, ("a.gguf, b.gguf", "name of one"), instead(b"", "a.gguf", "b.gguf")
    ),
    Hostile(
        "gguf-named-but-not-there",
        Reason.SOURCE_NOT_FOUND,
        ("no formal.gguf", GGUF_FILE),
        instead(b""),
        path="hostile/gguf-named-but-not-there/formal.gguf",
    ),
)

CASES = HEADERS + TENSORS + OTHERS
