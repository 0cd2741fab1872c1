"""What an adapter is, read from its configuration and the header of its tensors."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lora_runtime.adapters.config import AdapterConfig, Scaling, read_config
from lora_runtime.adapters.errors import (
    CONFIG_FILE,
    TENSORS_FILE,
    Refused,
    incomplete,
    list_files,
    malformed,
    shown,
    unsupported,
)
from lora_runtime.adapters.gguf_file.pair import GGUFPair
from lora_runtime.adapters.header import Entry, Shape, read_header

PREFIX = "base_model.model."
"""What PEFT writes before the module path in the name of a tensor."""

_KEY = re.compile(
    rf"{re.escape(PREFIX)}(?P<module>.+)\.(?:lora_(?P<linear>[AB])\.weight|lora_embedding_(?P<embedding>[AB]))"
)
_SAVED_EMBEDDING = re.compile(rf"{re.escape(PREFIX)}(?P<module>(?:.+\.)?(?:embed_tokens|lm_head))\.base_layer\.weight")
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


class ModuleKind(StrEnum):
    """What a LoRA acts on."""

    LINEAR = "linear"
    EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a stranger's file is read before it is trusted, in bytes."""

    max_config_bytes: int = 1 << 20
    max_header_bytes: int = 32 << 20


@dataclass(frozen=True, slots=True)
class ModuleTensors:
    """The pair of matrices that adapts one module: output += scaling * B @ A @ input."""

    name: str
    """Path of the module in the base model."""
    kind: ModuleKind
    a_shape: Shape
    """`[rank, in]`; for an embedding `[rank, vocabulary]`."""
    b_shape: Shape
    """`[out, rank]`; for an embedding `[dimension, rank]`."""
    rank: int
    scaling: float
    gguf: GGUFPair | None = None
    """Where they lie, if not under PEFT's names in a file of safetensors."""

    def stored_as(self, matrix: str) -> str:
        """Name of the tensor in the file that it comes from, for messages; `matrix` is `A` or `B`."""
        return self.key(matrix) if self.gguf is None else self.gguf.key(matrix)

    def key(self, matrix: str) -> str:
        """PEFT's name of the tensor; `matrix` is `A` or `B`."""
        if self.kind is ModuleKind.EMBEDDING:
            return f"{PREFIX}{self.name}.lora_embedding_{matrix}"
        return f"{PREFIX}{self.name}.lora_{matrix}.weight"


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything about an adapter but the values of its tensors."""

    config: AdapterConfig
    modules: tuple[ModuleTensors, ...]
    """Sorted by name, at least one."""
    saved_embeddings: tuple[tuple[str, Shape], ...]
    """Copies of the base model's embeddings that PEFT put beside the adapter, by module; never loaded."""
    acts: bool = True
    """False when every module's product is zero, as in an adapter that was never trained; known once it is checked."""

    @property
    def rank(self) -> int:
        """Largest rank over its modules."""
        return max(module.rank for module in self.modules)

    @property
    def base_model(self) -> str:
        """What it says it was trained on; empty when it does not say."""
        return shown(self.config.base_model_name_or_path or "")


def inspect(folder: Path, limits: Limits = Limits()) -> Inspection:
    """Reads what an adapter is; tensors are not loaded.

    Raises:
        Refused: a file is missing, malformed or not safetensors, or the adapter is not plain LoRA.
    """
    problem = incomplete(f"folder {folder}", list_files(folder))
    if problem is not None:
        raise problem
    config = read_config(folder / CONFIG_FILE, limits.max_config_bytes)
    header = read_header(folder / TENSORS_FILE, limits.max_header_bytes)
    return Inspection(
        config=config,
        modules=_modules(header, Scaling(config)),
        saved_embeddings=tuple(_saved_embeddings(header)),
    )


def _saved_embeddings(header: dict[str, Entry]) -> Iterable[tuple[str, Shape]]:
    for key in sorted(header):
        if match := _SAVED_EMBEDDING.fullmatch(key):
            yield match["module"], header[key].shape


def _modules(header: dict[str, Entry], scaling: Scaling) -> tuple[ModuleTensors, ...]:
    pairs: dict[tuple[str, ModuleKind], dict[str, str]] = {}
    for key in header:
        match = _KEY.fullmatch(key)
        if match is not None:
            kind = ModuleKind.LINEAR if match["linear"] else ModuleKind.EMBEDDING
            pairs.setdefault((match["module"], kind), {})[match["linear"] or match["embedding"]] = key
        elif _SAVED_EMBEDDING.fullmatch(key) is None:
            raise _unknown_key(key)
    if not pairs:
        raise malformed(f"{TENSORS_FILE} holds no LoRA matrices")
    return tuple(_module(name, kind, keys, header, scaling) for (name, kind), keys in sorted(pairs.items()))


def _module(
    name: str,
    kind: ModuleKind,
    keys: dict[str, str],
    header: dict[str, Entry],
    scaling: Scaling,
) -> ModuleTensors:
    for matrix, other in ("AB", "BA"):
        if matrix not in keys:
            raise malformed(f"tensor {keys[other]} has no partner: {name} lacks its {matrix} matrix")
    for key in keys.values():
        shape, dtype = header[key].shape, header[key].dtype
        if len(shape) != 2 or 0 in shape:
            raise malformed(f"tensor {key} has shape {list(shape)}, but a LoRA matrix has two dimensions")
        if dtype not in _FLOATS:
            raise unsupported(
                f"tensor {key} has element type {dtype}; save the adapter as float32, bfloat16 or float16"
            )
    a_shape, b_shape = header[keys["A"]].shape, header[keys["B"]].shape
    rank, factor = scaling.of(name)
    if a_shape[0] != rank or b_shape[1] != rank:
        raise malformed(
            f"tensors {keys['A']} {list(a_shape)} and {keys['B']} {list(b_shape)} have rank {a_shape[0]} and "
            f"{b_shape[1]}, but {CONFIG_FILE} gives {name} rank {rank}; the two files belong to different adapters"
        )
    return ModuleTensors(name, kind, a_shape, b_shape, rank, factor)


def _unknown_key(key: str) -> Refused:
    hints = (
        ("lora_magnitude_vector", "belongs to DoRA"),
        (".bias", "is a bias"),
        ("embed_tokens.weight", "replaces a whole embedding (the vocabulary was resized or trained)"),
        ("lm_head.weight", "replaces a whole output layer (the vocabulary was resized or trained)"),
    )
    for part, meaning in hints:
        if part in key:
            return unsupported(f"tensor {key} {meaning}, which the engine cannot apply")
    return malformed(
        f"tensor {key} is not a LoRA matrix as PEFT names them "
        f"({PREFIX}<module>.lora_A.weight, lora_B.weight, lora_embedding_A or lora_embedding_B)"
    )
