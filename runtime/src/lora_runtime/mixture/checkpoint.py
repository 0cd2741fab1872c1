"""Reads what PEFT's `save_pretrained` wrote of an X-LoRA: its options, its classifier, and the folders of its experts."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import safe_open

from lora_api.v1alpha1.mixture import MAX_EXPERTS
from lora_api.wrong_values import what, where
from lora_runtime.adapters.errors import (
    CONFIG_FILE,
    TENSORS_FILE,
    DuplicateKey,
    Refused,
    incomplete,
    list_files,
    malformed,
    shown,
    unique_keys,
    unsupported,
)
from lora_runtime.adapters.header import Entry, read_header
from lora_runtime.adapters.inspect import Limits
from lora_runtime.mixture.classifier import Linear
from lora_runtime.mixture.options import Options

_CLASSIFIER = re.compile(r"(?:.*\.)?internal_xlora_classifier\.layers\.(?P<index>\d+)\.(?P<what>weight|bias)")
_SAVED_INSIDE = "base_model.lora_model."
"""How the names begin in a file that PEFT made of an expert while it was part of an X-LoRA."""
_LIMITS = Limits()
_NAMED_AT_MOST = 4
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9._-]{1,40}")
"""Of an expert, for people: nothing that a terminal would take for more than letters, and not the number of another one."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained X-LoRA, of which the experts have yet to be looked at."""

    options: Options
    classifier: tuple[Linear, ...]
    experts: Mapping[str, Path]
    """Folders of LoRA adapters by names for people, in the order that the classifier knows them by."""


def read_checkpoint(folder: Path, experts: Sequence[Path] | None = None) -> Checkpoint:
    """Reads it, and makes sure that nothing of it was lost.

    Args:
        folder: With its configuration and classifier.
        experts: Their folders in order; 0, 1, … inside of `folder` when unset.

    Raises:
        Refused: it is no X-LoRA, is malformed, or has lost its classifier or an expert.
    """
    raw = _raw(folder)
    options = options_of(raw)
    names = _names(raw)
    count = len(names)
    if experts is None:
        experts = tuple(folder / str(number) for number in range(count))
    if missing := [place.name for place in experts if not place.is_dir()]:
        raise malformed(
            f"{CONFIG_FILE} names {count} experts, but there is no folder {', '.join(missing[:_NAMED_AT_MOST])} "
            f"beside it; put the adapter that it was trained with as expert n into the folder n"
        )
    for number, place in enumerate(experts):
        _refuse_if_cut(place, number)
    header = read_header(folder / TENSORS_FILE, _LIMITS.max_header_bytes)
    return Checkpoint(
        options, _classifier(folder / TENSORS_FILE, header, options, count), dict(zip(names, experts, strict=True))
    )


def count_experts(folder: Path) -> int:
    """How many experts belong to the configuration and classifier in a folder; they need not be there yet.

    Raises:
        Refused: it is no X-LoRA, or is malformed.
    """
    return len(_names(_raw(folder)))


def options_of(raw: Mapping[str, Any]) -> Options:
    """The options in a configuration, or in what a user wrote for one.

    Raises:
        Refused: one of them has no meaning.
    """
    try:
        return Options.model_validate_json(json.dumps({k: raw[k] for k in Options.model_fields if k in raw}))
    except ValidationError as error:
        first = error.errors()[0]
        raise malformed(f"{CONFIG_FILE} has a bad value for {shown(where(first))}: {shown(what(first))}") from error


def _raw(folder: Path) -> dict[str, Any]:
    problem = incomplete(f"folder {folder.name}", list_files(folder))
    if problem is not None:
        raise problem
    return _config(folder / CONFIG_FILE)


def _names(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Of the experts: the folders or repositories that they were trained from, or their numbers if one of those would mislead."""
    adapters = raw.get("adapters")
    if not isinstance(adapters, dict) or not 0 < len(adapters) <= MAX_EXPERTS:
        raise malformed(f"{CONFIG_FILE} must name 1 to {MAX_EXPERTS} experts in adapters")
    numbers = tuple(map(str, range(len(adapters))))
    places = [place for number in numbers if isinstance(place := adapters.get(number), str)]
    names = tuple(re.split(r"[/\\]", place.rstrip("/\\"))[-1] for place in places)
    trusted = len({*names}) == len(numbers) and all(map(_NAME.fullmatch, names))
    return names if trusted else numbers


def _config(path: Path) -> dict[str, Any]:
    if (size := path.stat().st_size) > _LIMITS.max_config_bytes:
        raise malformed(f"{CONFIG_FILE} is {size} bytes long; at most {_LIMITS.max_config_bytes} are read")
    try:
        raw = json.loads(path.read_bytes(), object_pairs_hook=unique_keys)
    except DuplicateKey as error:
        raise malformed(f"{CONFIG_FILE} sets {shown(error.key)} twice") from error
    except (ValueError, RecursionError) as error:
        raise malformed(f"{CONFIG_FILE} is not JSON: {shown(str(error))}") from error
    if not isinstance(raw, dict):
        raise malformed(f"{CONFIG_FILE} is not a JSON object")
    if raw.get("peft_type") != "XLORA":
        raise unsupported(
            f"{CONFIG_FILE} says peft_type {shown(json.dumps(raw.get('peft_type')))}; a mixture is made of an XLORA "
            f"checkpoint, or of plain adapters given as its experts"
        )
    return raw


def _classifier(path: Path, header: Mapping[str, Entry], options: Options, experts: int) -> tuple[Linear, ...]:
    keys = {(int(m["index"]), m["what"]): key for key in header if (m := _CLASSIFIER.fullmatch(key))}
    indices = layer_numbers(options)
    if lost := [index for index in indices if not {(index, "weight"), (index, "bias")} <= keys.keys()]:
        raise _lost(lost, indices, experts)
    if extra := sorted({index for index, _ in keys} - set(indices)):
        raise malformed(
            f"{TENSORS_FILE} holds a layer {extra[0]} of the classifier, but xlora_depth {options.xlora_depth} in "
            f"{CONFIG_FILE} leaves none with that number; the two files belong to different checkpoints"
        )
    with safe_open(path, framework="pt") as file:
        read: dict[tuple[int, str], torch.Tensor] = {at: file.get_tensor(key).float() for at, key in keys.items()}
    for at, tensor in read.items():
        if not bool(torch.isfinite(tensor).all()):
            raise malformed(f"tensor {keys[at]} holds values that are NaN or infinite; use an earlier checkpoint")
    return tuple(Linear(read[index, "weight"], read[index, "bias"]) for index in indices)


def layer_numbers(options: Options) -> tuple[int, ...]:
    """How PEFT numbers the classifier's linear layers; ReLU and dropout between them have numbers, too."""
    step = 3 if options.xlora_dropout_p > 0 else 2
    return tuple(step * number for number in range(options.xlora_depth))


def _refuse_if_cut(expert: Path, number: int) -> None:
    """PEFT drops an expert's tensors, too, in every decoder layer that has the number of another expert."""
    file = expert / TENSORS_FILE
    if file.is_file() and any(key.startswith(_SAVED_INSIDE) for key in read_header(file, _LIMITS.max_header_bytes)):
        raise malformed(
            f"expert {number} is as PEFT saved it from inside of the X-LoRA, without the tensors of all decoder layers "
            f"that have the number of another expert (huggingface/peft#3584); put the adapter that the X-LoRA was trained with "
            f"into the folder {number}"
        )


def _lost(lost: list[int], indices: tuple[int, ...], experts: int) -> Refused:
    by_peft = all(index < experts for index in lost)
    cause = (
        f"PEFT names the experts 0 to {experts - 1} and, when it saves, drops every tensor with such a number in its name "
        f"(huggingface/peft#3584), so that loading it gives a random classifier without a word. "
        if by_peft
        else ""
    )
    return malformed(
        f"{TENSORS_FILE} lacks layer {', '.join(map(str, lost[:_NAMED_AT_MOST]))} of the classifier's "
        f"{len(indices)}. {cause}Save it again from the trained model: safetensors.torch.save_file({{k: v.contiguous() for k, "
        f'v in model.state_dict().items() if "internal_xlora_classifier" in k}}, "{TENSORS_FILE}")'
    )
