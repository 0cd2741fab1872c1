"""An adapter that llama.cpp's converter wrote acts as PEFT has it: names, order of rows, scaling, rounding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig

from lora_api.runtime_api import RevisionSpec
from lora_api.v1alpha1.adapter import Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.base import BaseModel, load_base
from lora_runtime.adapters.blend import Files, publish
from lora_runtime.adapters.compatibility import validate
from lora_runtime.adapters.errors import TENSORS_FILE, Refused
from lora_runtime.adapters.gguf_file.architectures import architecture_of, heads_of, known, modules_by_name
from lora_runtime.adapters.gguf_file.header import read_gguf_header
from lora_runtime.adapters.gguf_file.inspect import MAX_HEADER_BYTES
from lora_runtime.adapters.inspect import Inspection, ModuleKind, ModuleTensors
from lora_runtime.adapters.layout import GGUF_FILE
from lora_runtime.store.blending import BlendProcess
from lora_runtime.store.digest import digest_of
from support.edits import edit_tensors
from support.gguf_adapters import BF16, F16, Q8_0, round_as, write_gguf
from support.models import reference_logprobs, tiny_adapter, tiny_base
from unit.runtime.adapters.leaves import leaf

PROMPT = (5, 17, 101, 33, 260, 8)
EVERYWHERE = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
MAX_RANK = 64


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def loaded(base: Path) -> BaseModel:
    return load_base(base)


@pytest.fixture
def convert(base: Path, tmp_path: Path) -> Callable[..., Path]:
    """Puts the converted adapter into a folder as the store has it."""

    def converted(adapter: Path, **options: Any) -> Path:
        folder = tmp_path / f"{adapter.name}-gguf"
        folder.mkdir()
        write_gguf(adapter, base, folder / GGUF_FILE, **options)
        return folder

    return converted


saves_embeddings = pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")


def published(base: BaseModel, parts: list[tuple[Path, float]], folder: Path) -> Path:
    files = {digest_of(part): Files(part, validate(part, base, MAX_RANK)) for part, _ in parts}
    folder.mkdir()
    leaves = tuple(leaf(part, weight) for part, weight in parts)
    publish(RevisionSpec.of(leaves, BlendMethod.CONCAT, Precision.AUTO), files, folder)
    return folder


def assert_answers_alike(base: Path, found: Path, adapters: list[tuple[Path, float]]) -> None:
    expected = reference_logprobs(base, adapters, PROMPT)
    torch.testing.assert_close(reference_logprobs(base, [(found, 1.0)], PROMPT), expected, atol=1e-5, rtol=1e-5)


@saves_embeddings
@pytest.mark.parametrize("weight", [1.0, -0.4])
@pytest.mark.parametrize(
    "lora",
    [
        {},
        {"r": 4, "alpha": 3, "target_modules": EVERYWHERE},
        {
            "target_modules": ("k_proj", "down_proj"),
            "rank_pattern": {"down_proj": 2},
            "alpha_pattern": {"down_proj": 16},
        },
        {"target_modules": ("embed_tokens", "lm_head", "q_proj")},
    ],
    ids=["plain", "everywhere", "ranks", "embeddings"],
)
def test_a_converted_adapter_answers_as_peft_does_with_the_original(
    base: Path, loaded: BaseModel, tmp_path: Path, convert: Callable[..., Path], lora: dict[str, Any], weight: float
) -> None:
    adapter = tiny_adapter(tmp_path / "pirate", base, seed=1, **lora)
    # PEFT would put the random embeddings that stand beside this adapter in place of the base model's
    edit_tensors(adapter, lambda tensors: [tensors.pop(n) for n in list(tensors) if "base_layer" in n])
    made = published(loaded, [(convert(adapter), weight)], tmp_path / "published")
    assert_answers_alike(base, made, [(adapter, weight)])


@pytest.mark.parametrize("kind", [F16, BF16, Q8_0], ids=lambda kind: kind.name)
def test_a_rounded_one_answers_as_peft_does_with_the_rounded_tensors(
    base: Path, loaded: BaseModel, tmp_path: Path, convert: Callable[..., Path], kind: Any
) -> None:
    adapter = tiny_adapter(tmp_path / "pirate", base, seed=1, r=32, target_modules=EVERYWHERE)
    made = published(loaded, [(convert(adapter, kind=kind), 1.0)], tmp_path / "published")
    assert_answers_alike(base, made, [(edit_tensors(adapter, round_as(kind)), 1.0)])


def test_it_can_be_blended_with_one_of_pefts(
    base: Path, loaded: BaseModel, tmp_path: Path, convert: Callable[..., Path]
) -> None:
    pirate = tiny_adapter(tmp_path / "pirate", base, seed=1)
    formal = tiny_adapter(tmp_path / "formal", base, seed=2, target_modules=["q_proj", "k_proj"])
    made = published(loaded, [(convert(pirate), 0.7), (formal, 0.5)], tmp_path / "published")
    assert_answers_alike(base, made, [(pirate, 0.7), (formal, 0.5)])


@pytest.mark.slow
async def test_a_computed_blend_has_the_bytes_of_the_one_of_the_original(
    base: Path, loaded: BaseModel, tmp_path: Path, convert: Callable[..., Path]
) -> None:
    pirate = tiny_adapter(tmp_path / "pirate", base, seed=1)
    made = []
    for number, folder in enumerate((pirate, convert(pirate))):
        spec = RevisionSpec.of((leaf(folder),), BlendMethod.SVD, Precision.AUTO, rank=4)
        made.append(tmp_path / f"made-{number}")
        made[-1].mkdir()
        files = {digest_of(folder): Files(folder, validate(folder, loaded, MAX_RANK))}
        await BlendProcess().publish(spec, files, made[-1])
    assert len({(folder / TENSORS_FILE).read_bytes() for folder in made}) == 1


def test_an_alpha_of_zero_leaves_the_matrices_as_they_are_which_is_how_llama_cpp_takes_it(
    base: Path, loaded: BaseModel, tmp_path: Path, convert: Callable[..., Path]
) -> None:
    adapter = tiny_adapter(tmp_path / "pirate", base, seed=1)
    assert {module.scaling for module in validate(convert(adapter, alpha=0.0), loaded, MAX_RANK).modules} == {1.0}


@saves_embeddings
def test_the_inspection_is_the_one_of_the_original_but_for_where_the_tensors_lie(
    base: Path, loaded: BaseModel, tmp_path: Path, convert: Callable[..., Path]
) -> None:
    def facts(found: Inspection) -> list[tuple[Any, ...]]:
        return [(m.name, m.kind, m.a_shape, m.b_shape, m.rank, m.scaling) for m in found.modules]

    adapter = tiny_adapter(tmp_path / "pirate", base, seed=1, target_modules=(*EVERYWHERE, "embed_tokens"))
    converted = validate(convert(adapter), loaded, MAX_RANK)
    assert facts(converted) == facts(validate(adapter, loaded, MAX_RANK))
    assert {module.kind for module in converted.modules} == {ModuleKind.LINEAR, ModuleKind.EMBEDDING}


def test_the_librarys_reader_finds_the_same_in_a_sound_file(
    base: Path, tmp_path: Path, convert: Callable[..., Path]
) -> None:
    adapter = tiny_adapter(tmp_path / "pirate", base, seed=1, r=32)
    path = convert(adapter, kind=Q8_0) / GGUF_FILE
    header, reader = read_gguf_header(path, MAX_HEADER_BYTES), gguf.GGUFReader(path)
    assert header.fields == {n: f.contents() for n, f in reader.fields.items() if not n.startswith("GGUF.")}
    assert {name: (t.type, t.start, t.size_bytes, list(t.shape[::-1])) for name, t in header.tensors.items()} == {
        t.name: (t.tensor_type.name, t.data_offset, t.n_bytes, t.shape.tolist()) for t in reader.tensors
    }


@pytest.mark.parametrize("name", known().split(", "))
def test_every_module_of_a_known_architecture_has_a_name_of_its_own(tmp_path: Path, name: str) -> None:
    kind = name.removesuffix("ForCausalLM").lower().replace("gemma3", "gemma3_text")
    sizes = {
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "pad_token_id": 0,
    }
    config = AutoConfig.for_model(kind, **sizes, vocab_size=64, intermediate_size=128)
    (tmp_path / "config.json").write_text(json.dumps({**config.to_dict(), "architectures": [name]}))
    base = load_base(tmp_path)
    architecture = architecture_of(base)
    assert architecture is not None
    names = modules_by_name(architecture, base)
    assert sorted({*names.values(), "lm_head"}) == sorted(base.modules)  # not all architectures have that one
    assert len(names) >= len(base.modules) - 1
    assert heads_of(architecture, base, "model.layers.1.self_attn.q_proj") == (4 if architecture.rearranges else 0)
    assert heads_of(architecture, base, "model.layers.1.self_attn.k_proj") == (2 if architecture.rearranges else 0)
    assert heads_of(architecture, base, "model.layers.1.self_attn.v_proj") == 0


def test_one_for_a_class_whose_conversion_is_not_known_is_refused_with_those_that_are(
    base: Path, loaded: BaseModel, tmp_path: Path, convert: Callable[..., Path]
) -> None:
    folder = convert(tiny_adapter(tmp_path / "pirate", base, seed=1))
    with pytest.raises(
        Refused, match=r"adapters of BloomForCausalLM is not known, only of .*LlamaForCausalLM"
    ) as caught:
        validate(folder, BaseModel("BloomForCausalLM", loaded.modules), MAX_RANK)
    assert caught.value.refusal.reason is Reason.UNSUPPORTED_FEATURE


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_file_with_any_bytes_of_its_header_changed_is_refused_or_fits(
    sound: Path, loaded: BaseModel, data: st.DataObject
) -> None:
    content = bytearray((sound / "content").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, HEADER_BYTES))
        change = data.draw(st.binary(min_size=1, max_size=8))
        content[place : place + len(change)] = change
    (sound / GGUF_FILE).write_bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))])
    message = ""
    modules: tuple[ModuleTensors, ...] = ()
    try:
        modules = validate(sound, loaded, MAX_RANK).modules
    except Refused as refused:
        message = refused.refusal.message
    assert len(message) < 2048
    assert message.isprintable()
    for module in modules:
        target = loaded.modules[module.name]
        assert (module.a_shape, module.b_shape) == (
            (module.rank, target.in_features), (target.out_features, module.rank),
        )  # fmt: skip


HEADER_BYTES = 700
"""Of the sound file."""


@pytest.fixture(scope="module")
def sound(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    write_gguf(tiny_adapter(folder / "pirate", base, seed=1, r=2), base, folder / "content")
    return folder
