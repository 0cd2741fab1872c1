"""`adapter_config.json` as PEFT reads it, and what of it an engine cannot apply."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import regex  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lora_api.wrong_values import what, where
from lora_runtime.adapters import errors
from lora_runtime.adapters.errors import CONFIG_FILE, DuplicateKey, Refused, shown, unique_keys

_PATTERN_SECONDS = 5.0
"""Patterns come from strangers; to compile and match those of one adapter may take so much of a processor's time.

A key in both maps for each of 500 modules takes a second.
"""

_PATTERNS_AT_MOST = 4096
_LONGEST_PATTERN = 256
_REPEATED_GROUPS_AT_MOST = 4
STRONGEST = 1e9
"""Largest lora_alpha: far beyond what trains, far below what overflows."""

_PLAIN_INITS = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})
"""Initialisations that only choose where training starts; the others change the base model's weights too."""

_UNSUPPORTED = {
    "use_dora": "DoRA",
    "lora_bias": "a bias on the LoRA matrices",
    "alora_invocation_tokens": "activated LoRA",
    "layer_replication": "replicated layers",
    "megatron_config": "Megatron layers",
    "modules_to_save": "fully trained modules",
    "trainable_token_indices": "trained token embeddings",
    "target_parameters": "LoRA on bare parameters",
    "use_qalora": "QALoRA",
    "use_bdlora": "block-diagonal LoRA",
    "arrow_config": "Arrow routing",
    "monteclora_config": "MonteCLoRA",
    "kasa_config": "KaSA",
    "ensure_weight_tying": "adapters tied to each other",
}

Rank = Annotated[int, Field(gt=0, le=1 << 20)]
Alpha = Annotated[float, Field(ge=-STRONGEST, le=STRONGEST)]


class AdapterConfig(BaseModel):
    """The part of PEFT's LoraConfig that decides what a trained adapter does."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    r: Rank
    lora_alpha: Alpha
    use_rslora: bool = False
    rank_pattern: dict[str, Rank] | None = None
    alpha_pattern: dict[str, Alpha] | None = None
    fan_in_fan_out: bool = False
    base_model_name_or_path: Annotated[str, Field(max_length=512)] | None = None


_READ = tuple(AdapterConfig.model_fields)


class Scaling:
    """Rank and scaling of each module, by PEFT's rules; for one thread."""

    def __init__(self, config: AdapterConfig, clock: Callable[[], float] = time.thread_time) -> None:
        """Prepares the patterns of `config`.

        Args:
            config: Whose patterns they are.
            clock: Seconds; by default those that this thread has had, so that a busy machine refuses nothing.

        Raises:
            Refused: a pattern is not a regular expression, or there are too many.
        """
        self._config = config
        self._clock = clock
        self._deadline = clock() + _PATTERN_SECONDS
        self._ranks = self._compiled("rank_pattern", config.rank_pattern or {})
        self._alphas = self._compiled("alpha_pattern", config.alpha_pattern or {})

    def of(self, module: str) -> tuple[int, float]:
        """Declared rank, and the factor on B·A, of a module path in the base model.

        Raises:
            Refused: the patterns take too long to match.
        """
        rank = int(self._first_match("rank_pattern", self._ranks, module, self._config.r))
        alpha = self._first_match("alpha_pattern", self._alphas, module, self._config.lora_alpha)
        return rank, alpha / (math.sqrt(rank) if self._config.use_rslora else rank)

    def _compiled(self, field: str, patterns: Mapping[str, float]) -> list[tuple[Any, float]]:
        _refuse_dangerous(field, patterns)
        found = []
        for key, value in patterns.items():
            self._left(field)
            try:
                found.append((regex.compile(rf"(.*\.)?({key})$"), value))
            except regex.error as error:
                raise _malformed(
                    f"has a key in {field} that is not a regular expression: {shown(str(error))}"
                ) from error
        return found

    def _first_match(self, field: str, patterns: Sequence[tuple[Any, float]], module: str, default: float) -> float:
        for pattern, value in patterns:
            try:
                if pattern.match(module, timeout=self._left(field)):
                    return value
            except TimeoutError as error:
                raise _too_slow(field) from error
        return default

    def _left(self, field: str) -> float:
        left = self._deadline - self._clock()
        if left <= 0:
            raise _too_slow(field)
        return left


def read_config(path: Path, max_bytes: int) -> AdapterConfig:
    """Reads and judges an adapter's configuration.

    Raises:
        Refused: it is malformed, or asks for something other than plain LoRA.
    """
    size = path.stat().st_size
    if size > max_bytes:
        raise _malformed(f"is {size} bytes long; at most {max_bytes} are read. Is it the right file?")
    try:
        raw = json.loads(path.read_bytes(), object_pairs_hook=unique_keys)
        if not isinstance(raw, dict):
            raise _malformed("is not a JSON object")
        _refuse_other_methods(raw)
        return AdapterConfig.model_validate_json(json.dumps({key: raw.get(key) for key in _READ if key in raw}))
    except DuplicateKey as error:
        raise _malformed(f"sets {shown(error.key)} twice") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = where(first)
        if not field:
            raise _malformed(f"cannot be read: {shown(what(first))}") from error
        raise _malformed(f"has a bad value for {shown(field)}: {shown(what(first))}") from error
    except (ValueError, RecursionError) as error:
        raise _malformed(f"is not JSON: {shown(str(error))}") from error


def _refuse_other_methods(raw: Mapping[str, Any]) -> None:
    if raw.get("peft_type") != "LORA":
        found = _value(raw.get("peft_type"))
        raise _unsupported(f"peft_type {found}; only LORA adapters can be served")
    if raw.get("bias") not in (None, "none"):
        raise _unsupported(f"bias: {_value(raw['bias'])}; train with bias none")
    init = raw.get("init_lora_weights")
    if isinstance(init, str) and init.lower() not in _PLAIN_INITS:
        raise _unsupported(
            f"init_lora_weights: {_value(init)}, which changes the base model's weights as well; save it with "
            f"PEFT's path_initial_model_for_weight_conversion, which makes a plain adapter of it"
        )
    for field, meaning in _UNSUPPORTED.items():
        if raw.get(field):
            raise _unsupported(
                f"{field}: {_value(raw[field])} ({meaning}), which the engine cannot apply; train without it"
            )


def _refuse_dangerous(field: str, patterns: Mapping[str, float]) -> None:
    if len(patterns) > _PATTERNS_AT_MOST:
        raise _malformed(
            f"has {len(patterns)} keys in {field}; at most {_PATTERNS_AT_MOST} are matched: "
            f"name modules by what they share, such as q_proj"
        )
    for key in patterns:
        # Compiling one alone can take all memory, and no time limit covers it: `a{1000000000}`, recursion, and `((a)+)+`,
        # of which each level doubles what is inside.
        many_groups = key.count(")+") > _REPEATED_GROUPS_AT_MOST
        if len(key) > _LONGEST_PATTERN or "{" in key or "(?" in key or many_groups:
            raise _malformed(
                f"has the key {_value(key)} in {field}; keys are module names or plain regular expressions of at most "
                f"{_LONGEST_PATTERN} characters, without counted repetition, extensions and more than "
                f"{_REPEATED_GROUPS_AT_MOST} repeated groups"
            )


def _too_slow(field: str) -> Refused:
    return _malformed(f"has keys in {field} that take too long to match; use module names, or fewer keys")


def _value(value: Any) -> str:
    return shown(json.dumps(value))


def _malformed(what: str) -> Refused:
    return errors.malformed(f"{CONFIG_FILE} {what}")


def _unsupported(what: str) -> Refused:
    return errors.unsupported(f"{CONFIG_FILE} sets {what}")
