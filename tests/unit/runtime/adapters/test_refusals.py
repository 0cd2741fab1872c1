"""Every way in which an adapter is unfit has its own reason, and a message that says where and what to do."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig

from corpus.hostile import pair, safetensors_file
from lora_api.runtime_api import BlendedPart, Recipe
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_runtime.adapters.base import BaseModel, load_base
from lora_runtime.adapters.compatibility import check_recipe_rank, validate
from lora_runtime.adapters.config import _UNSUPPORTED, AdapterConfig
from lora_runtime.adapters.errors import CONFIG_FILE, TENSORS_FILE, BaseModelUnavailable, Refused
from lora_runtime.adapters.inspect import Limits, inspect
from lora_runtime.store.digest import digest_of
from support.edits import Tensors, edit_config, edit_tensors
from support.models import tiny_adapter, tiny_base
from unit.runtime.adapters.leaves import leaf

Q_PROJ = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def base(base_folder: Path) -> BaseModel:
    return load_base(base_folder)


@pytest.fixture
def adapter(base_folder: Path, tmp_path: Path) -> Path:
    return tiny_adapter(tmp_path / "pirate", base_folder, seed=1)


def refused(folder: Path, base: BaseModel, max_rank: int = 64) -> tuple[Reason, str]:
    with pytest.raises(Refused) as caught:
        validate(folder, base, max_rank)
    return caught.value.refusal.reason, caught.value.refusal.message


def test_a_plain_adapter_of_this_base_is_accepted(adapter: Path, base: BaseModel) -> None:
    assert validate(adapter, base, 8).rank == 8


def test_an_adapter_of_scaling_zero_changes_nothing(adapter: Path, base: BaseModel) -> None:
    assert validate(adapter, base, 8).acts
    assert not validate(edit_config(adapter, lora_alpha=0), base, 8).acts


def test_an_adapter_trained_on_a_fine_tune_of_the_same_shape_is_accepted(adapter: Path, base: BaseModel) -> None:
    edit_config(adapter, base_model_name_or_path="someone/fine-tune")
    assert validate(adapter, base, 8).base_model == "someone/fine-tune"


@pytest.mark.parametrize("missing", [CONFIG_FILE, TENSORS_FILE])
def test_a_missing_file_is_named_and_so_is_what_is_there(adapter: Path, base: BaseModel, missing: str) -> None:
    (adapter / missing).unlink()
    (adapter / "README.md").touch()

    with pytest.raises(Refused, match=re.escape(f"{adapter} has no {missing}; it has: ")) as caught:
        validate(adapter, base, 8)

    assert "README.md" in caught.value.refusal.message
    assert caught.value.refusal.condition is AdapterCondition.FETCHED
    assert caught.value.refusal.reason is Reason.SOURCE_NOT_FOUND
    assert caught.value.refusal.retryable


def test_a_pickle_is_never_opened_and_the_message_says_how_to_convert_it(adapter: Path, base: BaseModel) -> None:
    (adapter / TENSORS_FILE).rename(adapter / "adapter_model.bin")
    reason, message = refused(adapter, base)
    assert reason is Reason.UNSAFE_FORMAT
    assert "has adapter_model.bin but no adapter_model.safetensors" in message
    assert "save_pretrained" in message


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "adapter_config.json is not JSON"),
        (b"\xff\xfe", "adapter_config.json is not JSON"),
        (b"[" * 100_000, "adapter_config.json is not JSON"),
        (b"[]", "adapter_config.json is not a JSON object"),
        (b'{"peft_type": "LORA"}', "adapter_config.json has a bad value for r: Field required"),
        (b" " * (2 << 20), "adapter_config.json is 2097152 bytes long"),
    ],
)
def test_a_broken_config_is_malformed(adapter: Path, base: BaseModel, content: bytes, complaint: str) -> None:
    (adapter / CONFIG_FILE).write_bytes(content)
    reason, message = refused(adapter, base)
    assert reason is Reason.MALFORMED_ADAPTER
    assert complaint in message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("r", 0),
        ("r", "8"),
        ("r", 10**400),
        ("r", None),
        ("lora_alpha", float("nan")),
        ("lora_alpha", float("inf")),
        ("rank_pattern", {"q_proj": -1}),
        ("rank_pattern", {"q_proj[": 8}),
        ("rank_pattern", {"a{1000000000}": 8}),
        ("alpha_pattern", {"(?R)": 8}),
        ("rank_pattern", {"q" * 300: 8}),
        ("alpha_pattern", {"q_proj": "x"}),
        ("use_rslora", "yes"),
    ],
)
def test_a_bad_value_in_the_config_is_named(adapter: Path, base: BaseModel, field: str, value: Any) -> None:
    reason, message = refused(edit_config(adapter, **{field: value}), base)
    assert reason is Reason.MALFORMED_ADAPTER
    assert field in message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peft_type", "IA3"),
        ("peft_type", None),
        ("bias", "lora_only"),
        ("use_dora", True),
        ("lora_bias", True),
        ("init_lora_weights", "pissa"),
        ("init_lora_weights", "pissa_niter_16"),
        ("init_lora_weights", "olora"),
        ("init_lora_weights", "corda"),
        ("init_lora_weights", "loftq"),
        ("alora_invocation_tokens", [1, 2]),
        ("layer_replication", [[0, 1]]),
        ("megatron_config", {"x": 1}),
        ("modules_to_save", ["lm_head"]),
        ("trainable_token_indices", [5]),
        ("target_parameters", ["experts.down_proj"]),
        ("use_qalora", True),
        ("use_bdlora", {"nblocks": 2}),
        ("arrow_config", {"top_k": 2}),
    ],
)
def test_a_feature_that_the_engine_would_ignore_is_refused_by_name(
    adapter: Path, base: BaseModel, field: str, value: Any
) -> None:
    reason, message = refused(edit_config(adapter, **{field: value}), base)
    assert reason is Reason.UNSUPPORTED_FEATURE
    assert message.startswith(f"adapter_config.json sets {field}")


@pytest.mark.parametrize("init", [True, False, "gaussian", "eva", "orthogonal"])
def test_an_initialisation_that_leaves_the_base_alone_is_accepted(
    adapter: Path, base: BaseModel, init: bool | str
) -> None:
    validate(edit_config(adapter, init_lora_weights=init), base, 8)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is not a safetensors file, or is cut short: 0 bytes"),
        (b"PK\x03\x04" * 64, "is not a safetensors file, or is cut short"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "of which the header claims 1099511627776"),
        ((2).to_bytes(8, "little") + b"[]", "is not a safetensors file"),
        ((2).to_bytes(8, "little") + b"{}", "holds no LoRA matrices"),
    ],
)
def test_a_broken_tensors_file_is_malformed(adapter: Path, base: BaseModel, content: bytes, complaint: str) -> None:
    (adapter / TENSORS_FILE).write_bytes(content)
    reason, message = refused(adapter, base)
    assert reason is Reason.MALFORMED_ADAPTER
    assert complaint in message


def test_a_strangers_long_names_do_not_fill_the_message(adapter: Path, base: BaseModel) -> None:
    edit_tensors(adapter, put(f"base_model.model.{'x' * 10_000}.lora_A.weight", torch.ones(8, 128)))
    reason, message = refused(adapter, base)
    assert reason is Reason.MALFORMED_ADAPTER
    assert "names a tensor with 10031 characters" in message
    assert len(message) < 1024


def test_a_name_has_at_most_512_characters(adapter: Path) -> None:
    longest = "base_model.model.".ljust(512 - len(".lora_A.weight"), "x")
    pair(longest, (8, 128), (128, 8))(adapter)
    inspect(adapter)
    pair(f"{longest}x", (8, 128), (128, 8))(adapter)
    with pytest.raises(Refused, match="names a tensor with 513 characters"):
        inspect(adapter)


@pytest.mark.parametrize(
    ("shape", "dimensions"), [((8, 128, *[1] * 7), 9), ((2**62 + 1,) * 20_000, 20_000), ((0,) * 20_000, 20_000)]
)
def test_a_shape_of_many_dimensions_is_refused_before_it_is_multiplied_or_shown(
    adapter: Path, base: BaseModel, shape: tuple[int, ...], dimensions: int
) -> None:
    header = {f"{Q_PROJ}.lora_A.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4096]}}
    (adapter / TENSORS_FILE).write_bytes(safetensors_file(header, bytes(4096)))
    reason, message = refused(adapter, base)
    assert reason is Reason.MALFORMED_ADAPTER
    assert f"tensor {Q_PROJ}.lora_A.weight has {dimensions} dimensions; at most 8 are read" in message


def test_a_file_cut_short_is_malformed(adapter: Path, base: BaseModel) -> None:
    whole = (adapter / TENSORS_FILE).read_bytes()
    (adapter / TENSORS_FILE).write_bytes(whole[:-4])
    assert refused(adapter, base)[0] is Reason.MALFORMED_ADAPTER


def test_a_header_longer_than_the_limit_is_not_read(adapter: Path) -> None:
    with pytest.raises(Refused, match="at most 16 are read"):
        inspect(adapter, Limits(max_header_bytes=16))


def drop_b(tensors: Tensors) -> None:
    del tensors[f"{Q_PROJ}.lora_B.weight"]


def rename(old: str, new: str) -> Callable[[Tensors], None]:
    def edit(tensors: Tensors) -> None:
        for name in [name for name in tensors if old in name]:
            tensors[name.replace(old, new)] = tensors.pop(name)

    return edit


def put(name: str, value: torch.Tensor) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.update({name: value})


@pytest.mark.parametrize(
    ("edit", "reason", "complaint"),
    [
        (
            drop_b,
            Reason.MALFORMED_ADAPTER,
            f"tensor {Q_PROJ}.lora_A.weight has no partner: model.layers.0.self_attn.q_proj lacks its B matrix",
        ),
        (
            rename("lora_A.weight", "lora_A.default.weight"),
            Reason.MALFORMED_ADAPTER,
            "q_proj.lora_A.default.weight is not a LoRA matrix as PEFT names them",
        ),
        (rename("base_model.model.", ""), Reason.MALFORMED_ADAPTER, "is not a LoRA matrix as PEFT names them"),
        (
            put(f"{Q_PROJ}.lora_magnitude_vector", torch.ones(128)),
            Reason.UNSUPPORTED_FEATURE,
            "q_proj.lora_magnitude_vector belongs to DoRA",
        ),
        (
            put(f"{Q_PROJ}.lora_B.bias", torch.ones(128)),
            Reason.UNSUPPORTED_FEATURE,
            "q_proj.lora_B.bias is a bias",
        ),
        (
            put("base_model.model.lm_head.weight", torch.ones(512, 128)),
            Reason.UNSUPPORTED_FEATURE,
            "lm_head.weight replaces a whole output layer",
        ),
        (
            put(f"{Q_PROJ}.lora_A.weight", torch.ones(8, 128, 1)),
            Reason.MALFORMED_ADAPTER,
            f"tensor {Q_PROJ}.lora_A.weight has shape [8, 128, 1], but a LoRA matrix has two dimensions",
        ),
        (
            put(f"{Q_PROJ}.lora_A.weight", torch.ones(8, 128, dtype=torch.int8)),
            Reason.UNSUPPORTED_FEATURE,
            f"tensor {Q_PROJ}.lora_A.weight has element type I8",
        ),
        (
            put(f"{Q_PROJ}.lora_A.weight", torch.ones(4, 128)),
            Reason.MALFORMED_ADAPTER,
            "have rank 4 and 8, but adapter_config.json gives model.layers.0.self_attn.q_proj rank 8",
        ),
        (
            put(f"{Q_PROJ}.lora_A.weight", torch.full((8, 128), float("nan"))),
            Reason.MALFORMED_ADAPTER,
            f"tensor {Q_PROJ}.lora_A.weight holds 1024 values that are NaN or infinite",
        ),
        (
            put(f"{Q_PROJ}.lora_B.weight", torch.full((128, 8), float("inf"))),
            Reason.MALFORMED_ADAPTER,
            f"tensor {Q_PROJ}.lora_B.weight holds 1024 values that are NaN or infinite",
        ),
        (
            put(f"{Q_PROJ}.lora_A.weight", torch.full((8, 128), -1e30)),
            Reason.MALFORMED_ADAPTER,
            f"tensor {Q_PROJ}.lora_A.weight holds values up to 1e+30",
        ),
        (
            put(f"{Q_PROJ}.lora_A.weight", torch.full((8, 128), float("-inf"))),
            Reason.MALFORMED_ADAPTER,
            f"tensor {Q_PROJ}.lora_A.weight holds 1024 values that are NaN or infinite",
        ),
        (
            put(f"{Q_PROJ}.lora_A.weight", torch.ones(8, 64)),
            Reason.SHAPE_MISMATCH,
            f"tensor {Q_PROJ}.lora_A.weight has shape [8, 64], but the base model needs [8, 128] "
            f"(the adapter was trained on tests/tiny-base)",
        ),
        (
            put(f"{Q_PROJ}.lora_B.weight", torch.ones(256, 8)),
            Reason.SHAPE_MISMATCH,
            f"tensor {Q_PROJ}.lora_B.weight has shape [256, 8], but the base model needs [128, 8]",
        ),
        (
            rename("layers.1.", "layers.99."),
            Reason.UNKNOWN_MODULES,
            "the base model (LlamaForCausalLM) does not have: model.layers.99.self_attn.q_proj, "
            "model.layers.99.self_attn.v_proj; the closest that exists is model.layers.",
        ),
        (
            rename("model.layers", "transformer.h"),
            Reason.BASE_MODEL_MISMATCH,
            "trained on tests/tiny-base: none of its modules exist in the base model (LlamaForCausalLM), for "
            "instance transformer.h.0.self_attn.q_proj, transformer.h.0.self_attn.v_proj, "
            "transformer.h.1.self_attn.q_proj and 1 more",
        ),
        (
            rename("self_attn.q_proj.lora_A.weight", "self_attn.q_proj.lora_embedding_A"),
            Reason.MALFORMED_ADAPTER,
            "has no partner",
        ),
    ],
)
def test_tensors_that_would_be_served_wrongly_are_refused(
    adapter: Path, base: BaseModel, edit: Callable[[Tensors], None], reason: Reason, complaint: str
) -> None:
    found, message = refused(edit_tensors(adapter, edit), base)
    assert (found, complaint in message) == (reason, True), message


def test_an_embedding_lora_on_a_linear_layer_is_a_mismatch(adapter: Path, base: BaseModel) -> None:
    def edit(tensors: Tensors) -> None:
        rename("q_proj.lora_A.weight", "q_proj.lora_embedding_A")(tensors)
        rename("q_proj.lora_B.weight", "q_proj.lora_embedding_B")(tensors)

    reason, message = refused(edit_tensors(adapter, edit), base)
    assert reason is Reason.SHAPE_MISMATCH
    assert "adapts an embedding, but model.layers.0.self_attn.q_proj of the base model is a linear" in message


def test_an_embedding_of_another_vocabulary_is_a_mismatch(adapter: Path, base: BaseModel) -> None:
    def edit(tensors: Tensors) -> None:
        tensors["base_model.model.model.embed_tokens.lora_embedding_A"] = torch.ones(8, 600)
        tensors["base_model.model.model.embed_tokens.lora_embedding_B"] = torch.ones(128, 8)

    reason, message = refused(edit_tensors(adapter, edit), base)
    assert reason is Reason.SHAPE_MISMATCH
    assert "embed_tokens.lora_embedding_A has shape [8, 600], but the base model needs [8, 512]" in message


def test_saved_embeddings_of_another_vocabulary_are_a_mismatch(adapter: Path, base: BaseModel) -> None:
    edit_tensors(adapter, put("base_model.model.model.embed_tokens.base_layer.weight", torch.ones(600, 128)))
    reason, message = refused(adapter, base)
    assert reason is Reason.SHAPE_MISMATCH
    assert "embed_tokens.base_layer.weight has shape [600, 128], but the base model needs [512, 128]" in message


def test_a_saved_output_layer_has_a_row_for_each_token_though_it_is_linear(adapter: Path, base: BaseModel) -> None:
    saved = "base_model.model.lm_head.base_layer.weight"
    validate(edit_tensors(adapter, put(saved, torch.ones(512, 128))), base, 8)
    reason, message = refused(edit_tensors(adapter, put(saved, torch.ones(128, 512))), base)
    assert reason is Reason.SHAPE_MISMATCH
    assert "lm_head.base_layer.weight has shape [128, 512], but the base model needs [512, 128]" in message


def test_a_rank_above_the_limit_says_which_limit_to_raise(adapter: Path, base: BaseModel) -> None:
    reason, message = refused(adapter, base, max_rank=7)
    assert reason is Reason.RANK_TOO_LARGE
    assert "the adapter has rank 8 in model.layers.0.self_attn.q_proj, but the model allows 7" in message
    assert "set spec.adapters.maxRank of the LoRAModel to at least 8" in message


def test_ranks_of_a_concatenation_add_up_per_module(adapter: Path, base_folder: Path, tmp_path: Path) -> None:
    other = tiny_adapter(tmp_path / "o", base_folder, seed=2, r=4, target_modules=["k_proj"])
    again = tiny_adapter(tmp_path / "s", base_folder, seed=3)
    found = {digest_of(folder): inspect(folder) for folder in (adapter, other, again)}

    check_recipe_rank(Recipe(parts=(leaf(adapter), leaf(other))), found, 8)
    with pytest.raises(
        Refused, match=r"the blend has rank 16 \(8 \+ 8\) in .* to at least 16 .*, or set spec.blend.method to SVD"
    ):
        check_recipe_rank(Recipe(parts=(leaf(adapter), leaf(other), leaf(again))), found, 15)


def test_the_largest_sum_decides_wherever_the_largest_rank_is(base_folder: Path, tmp_path: Path) -> None:
    ranks = {"k_proj": (8,), "q_proj": (5, 6)}
    folders = [
        tiny_adapter(tmp_path / f"{module}-{rank}", base_folder, seed=rank, r=rank, target_modules=[module])
        for module, each in ranks.items()
        for rank in each
    ]
    found = {digest_of(folder): inspect(folder) for folder in folders}
    recipe = Recipe(parts=tuple(leaf(folder) for folder in folders))

    check_recipe_rank(recipe, found, 11)
    with pytest.raises(Refused, match=r"the blend has rank 11 \(5 \+ 6\) in model.layers.0.self_attn.q_proj"):
        check_recipe_rank(recipe, found, 10)


def test_a_blend_inside_a_concatenation_counts_with_the_rank_it_was_cut_to(adapter: Path) -> None:
    found = {digest_of(adapter): inspect(adapter)}
    cut = Recipe(parts=(leaf(adapter),), method=BlendMethod.SVD, rank=3)
    outer = Recipe(parts=(leaf(adapter), BlendedPart(recipe=cut, weight=1)))

    check_recipe_rank(outer, found, 11)
    with pytest.raises(Refused, match=r"rank 11 \(8 \+ 3\)"):
        check_recipe_rank(outer, found, 10)
    with pytest.raises(Refused, match=r"rank 3 in spec.blend.rank, but the model allows 2"):
        check_recipe_rank(cut, found, 2)


def test_a_base_model_without_a_config_says_what_the_folder_needs(tmp_path: Path) -> None:
    with pytest.raises(BaseModelUnavailable, match=re.escape(f"{tmp_path} cannot be read")) as caught:
        load_base(tmp_path)
    assert "needs a config.json" in str(caught.value)


TRAINING_ONLY = frozenset({
    "task_type", "auto_mapping", "peft_version", "revision", "inference_mode", "target_modules", "exclude_modules",
    "lora_dropout", "layers_to_transform", "layers_pattern", "megatron_core", "loftq_config", "eva_config",
    "corda_config", "lora_ga_config", "velora_config", "runtime_config", "qalora_group_size",
})  # fmt: skip
"""What a configuration says of the training, or says again in the tensors' names."""


def test_every_field_of_peft_s_configuration_is_read_refused_or_known_to_change_no_answer() -> None:
    known = {*AdapterConfig.model_fields, *_UNSUPPORTED, *TRAINING_ONLY, "peft_type", "bias", "init_lora_weights"}
    assert {field.name for field in dataclasses.fields(LoraConfig)} - known == set()
