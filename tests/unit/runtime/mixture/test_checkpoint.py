"""What PEFT wrote of an X-LoRA: read when it is whole, refused with the cause when something was lost."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_runtime.adapters.base import BaseModel, load_base
from lora_runtime.adapters.errors import Refused
from lora_runtime.mixture import assembly, package
from lora_runtime.mixture.checkpoint import options_of
from support import mixtures
from support.models import tiny_adapter, tiny_base

CLASSIFIER = "base_model.internal_xlora_classifier.layers"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def shape(base: Path) -> BaseModel:
    return load_base(base)


def checkpoint(folder: Path, base: Path, **options: Any) -> Path:
    model = mixtures.in_peft(base, mixtures.tiny_experts(folder, base), **options)
    return mixtures.save(model, folder / "checkpoint")


def refusal(folder: Path, shape: BaseModel) -> str:
    with pytest.raises(Refused) as refused:
        assembly.from_checkpoint(folder, shape)
    return str(refused.value)


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_modules_are_numbered_as_peft_numbers_them(tmp_path: Path, base: Path, shape: BaseModel) -> None:
    experts = mixtures.tiny_experts(tmp_path, base)
    model = mixtures.in_peft(base, experts, layerwise_scalings=True)
    found = assembly.from_checkpoint(mixtures.save(model, tmp_path / "checkpoint"), shape)
    numbers = {
        name.removeprefix("base_model.lora_model.model."): module.forward.__self__.layer_number
        for name, module in model.named_modules()
        if hasattr(getattr(module.forward, "__self__", None), "layer_number")
    }
    assert list(found.layers) == sorted(numbers, key=numbers.__getitem__)
    assert found.trained


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["team/pirate", "/home/me/formal/", "C:\\adapters\\french-v1.2"], ("pirate", "formal", "french-v1.2")),
        (["pirate/checkpoint-500", "formal/checkpoint-500", "french/checkpoint-500"], ("0", "1", "2")),
        (["x/2", "x/1", "x/0"], ("0", "1", "2")),
        (["pirate", "for\x1b[31mmal", "french"], ("0", "1", "2")),
        (["pirate", "f" * 41, "french"], ("0", "1", "2")),
        (["pirate", "", None], ("0", "1", "2")),
    ],
    ids=["their own", "the same", "numbers of others", "control characters", "too long", "none"],
)
def test_experts_are_called_what_they_were_trained_from_unless_that_would_mislead(
    tmp_path: Path, base: Path, shape: BaseModel, places: list[str], names: tuple[str, ...]
) -> None:
    place = checkpoint(tmp_path, base)
    change(place / "adapter_config.json", adapters={str(number): said for number, said in enumerate(places)})
    assert assembly.from_checkpoint(place, shape).experts == names


def test_what_is_written_is_read_again(tmp_path: Path, base: Path, shape: BaseModel) -> None:
    made = assembly.from_checkpoint(checkpoint(tmp_path, base, **mixtures.EVERY_OPTION), shape)
    (tmp_path / "model").mkdir()
    package.write(made, base, tmp_path / "model")
    read = package.read(tmp_path / "model")
    assert (read.options, read.experts, read.layers, read.trained) == (made.options, made.experts, made.layers, True)
    assert read.effects.keys() == made.effects.keys()
    assert all(torch.equal(read.effects[at].b, effect.b) for at, effect in made.effects.items())
    assert (tmp_path / "model" / "model.safetensors").resolve() == (base / "model.safetensors").resolve()


def test_mistrals_own_files_are_left_out_since_vllm_would_serve_the_plain_model_from_them(
    tmp_path: Path, shape: BaseModel
) -> None:
    base = tiny_base(tmp_path / "base")
    for name in ("params.json", "consolidated.safetensors", "tekken.json"):
        (base / name).touch()
    (tmp_path / "model").mkdir()
    experts = {place.name: place for place in mixtures.tiny_experts(tmp_path, base)}
    package.write(assembly.from_adapters(experts, options_of({"hidden_size": 128}), shape), base, tmp_path / "model")
    found = {place.name for place in (tmp_path / "model").iterdir()}
    assert {"model.safetensors", "tekken.json"} <= found
    assert not {"params.json", "consolidated.safetensors"} & found


def test_adapters_alone_make_a_mixture_that_says_that_it_has_learnt_nothing(
    tmp_path: Path, base: Path, shape: BaseModel
) -> None:
    experts = {place.name: place for place in mixtures.tiny_experts(tmp_path, base)}
    options = options_of({"hidden_size": 128, "xlora_depth": 2, "xlora_size": 16})
    made = assembly.from_adapters(experts, options, shape)
    assert not made.trained
    assert made.experts == ("e0", "e1", "e2")
    assert [tuple(linear.weight.shape) for linear in made.classifier] == [(16, 128), (3, 16)]


@pytest.mark.parametrize(
    "options", [{}, {"xlora_depth": 2, "xlora_size": 8}, {"xlora_depth": 3, "xlora_dropout_p": 0.0}]
)
def test_a_classifier_that_peft_has_lost_is_said_to_be(
    tmp_path: Path, base: Path, shape: BaseModel, options: dict[str, Any]
) -> None:
    """PEFT's own save, with experts that were put right: it is this version of PEFT that loses it."""
    place = checkpoint(tmp_path, base, **options)
    model = mixtures.in_peft(base, mixtures.tiny_experts(tmp_path, base), **options)
    model.save_pretrained(str(place), selected_adapters=["default"], save_embedding_layers=False)
    said = refusal(place, shape)
    assert "lacks layer 0" in said
    assert "huggingface/peft#3584" in said
    assert "internal_xlora_classifier" in said, "how to save it"


def test_experts_that_peft_has_cut_are_said_to_be(tmp_path: Path, base: Path, shape: BaseModel) -> None:
    place = checkpoint(tmp_path, base)
    whole = load_file(place / "adapter_model.safetensors")
    model = mixtures.in_peft(base, mixtures.tiny_experts(tmp_path, base))
    model.save_pretrained(str(place), save_embedding_layers=False)
    save_file(whole, place / "adapter_model.safetensors")
    said = refusal(place, shape)
    assert said.startswith("expert 0 is as PEFT saved it from inside of the X-LoRA, without the tensors")


def test_pieces_that_do_not_belong_together_are_refused(tmp_path: Path, base: Path, shape: BaseModel) -> None:
    place = checkpoint(tmp_path, base)
    config, tensors = place / "adapter_config.json", place / "adapter_model.safetensors"
    good, weights = config.read_text(), load_file(tensors)

    def said(**values: Any) -> str:
        config.write_text(good)
        change(config, **values)
        return refusal(place, shape)

    assert "peft_type" in said(peft_type="LORA")
    assert "softmax_temperature" in said(softmax_temperature=0)
    assert "top_k_lora is 9, but there are 3 experts" in said(top_k_lora=9)
    assert "no folder 3" in said(adapters=dict.fromkeys("0123", ""))
    assert "hidden_size is 64, but the base model's is 128" in said(hidden_size=64)
    assert "need [(42, 128)]" in said(layerwise_scalings=True)
    config.write_text(good)
    save_file(weights | {f"{CLASSIFIER}.0.bias": torch.full((3,), float("nan"))}, tensors)
    assert "NaN or infinite" in refusal(place, shape)
    save_file(weights | {f"{CLASSIFIER}.7.bias": torch.zeros(3)}, tensors)
    assert "leaves none with that number" in refusal(place, shape)
    save_file(weights, tensors)
    (place / "adapter_config.json").write_text("[]")
    assert "not a JSON object" in refusal(place, shape)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
def test_experts_outside_of_the_decoder_are_refused(tmp_path: Path, base: Path, shape: BaseModel) -> None:
    head = tiny_adapter(tmp_path / "head", base, seed=1, target_modules=("lm_head",))
    with pytest.raises(
        Refused, match=r"expert head adapts lm_head; X-LoRA mixes the linear layers of attention and MLP"
    ):
        assembly.from_adapters({"head": head}, options_of({"hidden_size": 128}), shape)


def test_base_models_of_other_kinds_are_refused(tmp_path: Path) -> None:
    def said(**config: Any) -> str:
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(Refused) as refused:
            assembly.check_base(tmp_path)
        return str(refused.value)

    assert "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM" in said(architectures=["GPT2LMHeadModel"])
    assert "quantised" in said(architectures=["LlamaForCausalLM"], quantization_config={"quant_method": "awq"})
