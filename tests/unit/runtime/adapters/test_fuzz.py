"""Whatever the files hold, they are inspected or refused; and what is accepted fits, however it was mutated."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lora_api.runtime_api import Part, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_runtime.adapters.base import BaseModel, load_base
from lora_runtime.adapters.blend import Files, publish
from lora_runtime.adapters.compatibility import validate
from lora_runtime.adapters.errors import CONFIG_FILE, TENSORS_FILE, Refused
from lora_runtime.adapters.inspect import Inspection, ModuleKind
from support.models import tiny_adapter, tiny_base

MAX_RANK = 16
DIGEST = "sha256:" + "a" * 64
LEAF = Part(source=AdapterSource(volume=VolumeSource(name="v")), digest=DIGEST, weight=1.0)
WHOLE = RevisionSpec.of((LEAF,), BlendMethod.CONCAT, Precision.FLOAT32)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4)
)
sizes = st.integers(-2, 300) | st.sampled_from([2**31, 2**53, 2**62, 2**63, 2**64])
entries = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F64", "F32", "F16", "BF16", "I8", "BOOL", "F8_E4M3", "C64", "F4", "X"]) | scalars,
        "shape": st.lists(sizes, max_size=4) | json_values,
        "data_offsets": st.lists(sizes, max_size=3) | json_values,
    },
)


@dataclass(frozen=True)
class Subject:
    """A sound adapter's bytes, and a folder to put others into."""

    folder: Path
    base: BaseModel
    config: bytes
    tensors: bytes

    def accepted(self, config: bytes | None = None, tensors: bytes | None = None) -> Inspection | None:
        """What is found in these files; None when they are refused. Anything else is a bug."""
        (self.folder / CONFIG_FILE).write_bytes(self.config if config is None else config)
        (self.folder / TENSORS_FILE).write_bytes(self.tensors if tensors is None else tensors)
        try:
            found = validate(self.folder, self.base, MAX_RANK)
        except Refused as refused:
            message = refused.refusal.message
            assert len(message) < 2048
            assert message.isprintable(), message
            return None
        assert_fits(found, self.base)
        return found


def assert_fits(found: Inspection, base: BaseModel) -> None:
    for module in found.modules:
        target = base.modules[module.name]
        assert module.kind is target.kind or module.kind is ModuleKind.LINEAR
        assert module.a_shape == (module.rank, target.in_features)
        assert module.b_shape == (target.out_features, module.rank)
        assert 0 < module.rank <= MAX_RANK


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("fuzz")
    base = tiny_base(folder / "base")
    sound = tiny_adapter(folder / "sound", base, seed=1, r=2, target_modules=("v_proj",))
    place = folder / "place"
    place.mkdir()
    return Subject(place, load_base(base), (sound / CONFIG_FILE).read_bytes(), (sound / TENSORS_FILE).read_bytes())


def parted(tensors: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and data of a safetensors file."""
    (length,) = struct.unpack("<Q", tensors[:8])
    header: dict[str, Any] = json.loads(tensors[8 : 8 + length])
    return header, tensors[8 + length :]


def joined(header: object, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_the_unchanged_files_are_accepted(subject: Subject) -> None:
    assert subject.accepted() is not None


@settings(deadline=None)
@given(st.binary(max_size=2048))
def test_any_bytes_are_refused_as_tensors(subject: Subject, content: bytes) -> None:
    assert subject.accepted(tensors=content) is None


@settings(deadline=None)
@given(st.binary(max_size=512), st.integers(0, 2**64 - 1) | st.integers(0, 600))
def test_any_text_behind_any_length_is_refused_as_tensors(subject: Subject, text: bytes, length: int) -> None:
    assert subject.accepted(tensors=struct.pack("<Q", length) + text) is None


@settings(deadline=None)
@given(
    st.dictionaries(st.text(max_size=40) | st.just("__metadata__"), entries | json_values, max_size=5),
    st.binary(max_size=64),
)
def test_any_header_is_refused(subject: Subject, header: dict[str, Any], data: bytes) -> None:
    assert subject.accepted(tensors=joined(header, data)) is None


@settings(deadline=None)
@given(st.data())
def test_a_sound_header_with_any_entry_changed_is_refused_or_fits(subject: Subject, data: st.DataObject) -> None:
    header, rest = parted(subject.tensors)
    names = sorted(name for name in header if name != "__metadata__")
    name = data.draw(st.sampled_from(names))
    match data.draw(st.sampled_from(["entry", "field", "name", "gone", "twins"])):
        case "entry":
            header[name] = data.draw(entries | json_values)
        case "field":
            header[name][data.draw(st.sampled_from(["dtype", "shape", "data_offsets"]))] = data.draw(
                json_values | st.lists(sizes, max_size=3)
            )
        case "name":
            header[data.draw(st.text(max_size=60) | st.sampled_from(names).map(lambda n: n.replace("A", "B")))] = (
                header.pop(name)
            )
        case "gone":
            del header[name]
        case "twins":
            header[name] = header[data.draw(st.sampled_from(names))]
    subject.accepted(tensors=joined(header, rest))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=8), st.booleans())
def test_flipped_bits_are_refused_or_fit(subject: Subject, flips: list[tuple[float, int]], in_the_header: bool) -> None:
    content = bytearray(subject.tensors)
    end = 8 + struct.unpack("<Q", content[:8])[0] if in_the_header else len(content)
    for where, bits in flips:
        content[int(where * (end - 1))] ^= bits
    subject.accepted(tensors=bytes(content))


@settings(deadline=None)
@given(st.floats(0, 1), st.binary(max_size=32))
def test_a_file_cut_and_gone_on_with_otherwise_is_refused_or_the_same(
    subject: Subject, where: float, rest: bytes
) -> None:
    content = subject.tensors[: int(where * (len(subject.tensors) - 1))] + rest
    assert len(content) == len(subject.tensors) or subject.accepted(tensors=content) is None


@settings(deadline=None)
@given(st.binary(max_size=1024) | json_values.map(lambda value: json.dumps(value).encode()))
@example(b'{"peft_type": "LORA", "r": ' + b"[" * 990 + b"]" * 990 + b"}")
@example(b'{"bias": ' + b"[" * 500 + b"]" * 500 + b"}")
@example(b'{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "\\ud800"}')
def test_any_config_is_refused(subject: Subject, content: bytes) -> None:
    assert subject.accepted(config=content) is None


@settings(deadline=None)
@given(st.data())
def test_a_sound_config_with_any_field_changed_is_refused_or_fits(subject: Subject, data: st.DataObject) -> None:
    config = json.loads(subject.config)
    patterns = st.dictionaries(
        st.text("(v_proj)|.*+?^$\\[]layers01", max_size=24), st.integers(-1, 20) | st.floats(), max_size=3
    )
    for name in data.draw(st.lists(st.sampled_from(sorted(config)), min_size=1, max_size=3)):
        config[name] = data.draw(json_values | patterns)
    found = subject.accepted(config=json.dumps(config).encode())
    if found is not None:
        # What is accepted can be made into what the engine gets, or is refused then.
        made = subject.folder.parent / "made"
        made.mkdir(exist_ok=True)
        try:
            publish(WHOLE, {DIGEST: Files(subject.folder, found)}, made)
        except Refused:
            return
        assert_fits(validate(made, subject.base, MAX_RANK), subject.base)
