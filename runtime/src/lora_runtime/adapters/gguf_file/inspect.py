"""What a GGUF adapter is, in terms of its base model: the same as inspecting PEFT's files gives."""

import math
from pathlib import Path

from gguf import GGUFType, Keys

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.base import BaseModel
from lora_runtime.adapters.config import STRONGEST, AdapterConfig
from lora_runtime.adapters.errors import incompatible, malformed, shown, unsupported
from lora_runtime.adapters.gguf_file.architectures import (
    Architecture,
    architecture_of,
    heads_of,
    known,
    modules_by_name,
)
from lora_runtime.adapters.gguf_file.header import WHAT, GGUFHeader, read_gguf_header
from lora_runtime.adapters.gguf_file.pair import GGUFPair, StoredTensor
from lora_runtime.adapters.inspect import Inspection, ModuleKind, ModuleTensors

MAX_HEADER_BYTES = 8 << 20
"""Some hundred bytes for each tensor; a whole model's vocabulary may take more."""

_WEIGHT, _A, _B = ".weight", ".lora_a", ".lora_b"
_BASE_NAME = "general.base_model.0.name"


def inspect_gguf(path: Path, base: BaseModel, max_header_bytes: int = MAX_HEADER_BYTES) -> Inspection:
    """Reads what an adapter is; tensors are not loaded.

    Raises:
        Refused: the file is malformed, no LoRA adapter, or for another kind of model.
    """
    header = read_gguf_header(path, max_header_bytes)
    _refuse_others(header)
    architecture = _architecture(header, base)
    alpha = _alpha(header)
    modules = _modules(header, architecture, base, alpha)
    trained_on = header.fields.get(_BASE_NAME)
    # checked here, and its rank together with the others'
    config = AdapterConfig.model_construct(
        r=max(module.rank for module in modules),
        lora_alpha=alpha,
        base_model_name_or_path=trained_on[:512] if isinstance(trained_on, str) else None,
    )
    return Inspection(config, modules, saved_embeddings=())


def _refuse_others(header: GGUFHeader) -> None:
    found = header.fields.get(Keys.General.TYPE)
    if found != GGUFType.ADAPTER:
        raise malformed(
            f"{WHAT} is no adapter: its {Keys.General.TYPE} is {_said(found)}; point the source at a file that llama.cpp's "
            f"convert_lora_to_gguf.py wrote"
        )
    kind = header.fields.get(Keys.Adapter.TYPE)
    if kind != "lora":
        raise unsupported(f"{WHAT} has {Keys.Adapter.TYPE} {_said(kind)}; only lora can be served")
    if Keys.Adapter.ALORA_INVOCATION_TOKENS in header.fields:
        raise unsupported(
            f"{WHAT} has {Keys.Adapter.ALORA_INVOCATION_TOKENS} (activated LoRA), which the engine cannot apply; train "
            f"without it"
        )


def _architecture(header: GGUFHeader, base: BaseModel) -> Architecture:
    expected, found = architecture_of(base), header.fields.get(Keys.General.ARCHITECTURE)
    if expected is None:
        raise unsupported(
            f"how llama.cpp converts adapters of {base.architecture} is not known, only of {known()}; use the adapter "
            f"as PEFT saved it"
        )
    if found != expected.name:
        raise incompatible(
            Reason.BASE_MODEL_MISMATCH,
            f"{WHAT} is for the architecture {_said(found)}, but the base model ({base.architecture}) is {expected.name}; "
            f"set spec.modelRef to a LoRAModel of its own base",
        )
    return expected


def _alpha(header: GGUFHeader) -> float:
    """llama.cpp takes an alpha that is missing or zero for none: the matrices then act as they are."""
    found = header.fields.get(Keys.Adapter.LORA_ALPHA, 0.0)
    if type(found) is not float or not math.isfinite(found) or abs(found) > STRONGEST:
        raise malformed(
            f"{WHAT} has {Keys.Adapter.LORA_ALPHA} {_said(found)}; it must be a float of at most {STRONGEST:.0f}"
        )
    return found


def _modules(
    header: GGUFHeader, architecture: Architecture, base: BaseModel, alpha: float
) -> tuple[ModuleTensors, ...]:
    paths = modules_by_name(architecture, base)
    pairs: dict[str, dict[str, StoredTensor]] = {}
    for key, tensor in header.tensors.items():
        name, matrix = _parted(key)
        pairs.setdefault(name, {})[matrix] = tensor
    if not pairs:
        raise malformed(f"{WHAT} holds no LoRA matrices")
    found: dict[str, tuple[str, ModuleTensors]] = {}
    for name, tensors in pairs.items():
        for matrix, other in (_A, _B), (_B, _A):
            if matrix not in tensors:
                raise malformed(f"tensor {name}{_WEIGHT}{other} has no partner: {name}{_WEIGHT}{matrix} is not there")
        module = paths.get(name, name)  # a name that is none of the base model's is refused with the others' check
        if module in found:
            other, _ = found[module]
            raise malformed(
                f"{WHAT} has tensors for {module} twice, as {other} and as {name}, and only one of both could be served"
            )
        pair = GGUFPair(name + _WEIGHT, tensors[_A], tensors[_B], heads_of(architecture, base, module))
        found[module] = name, _module(module, pair, base, alpha)
    return tuple(found[module][1] for module in sorted(found))


def _parted(key: str) -> tuple[str, str]:
    for matrix in (_A, _B):
        if key.endswith(_WEIGHT + matrix):
            return key.removesuffix(_WEIGHT + matrix), matrix
    if key.endswith(_WEIGHT) or key.endswith(".bias"):
        raise unsupported(f"tensor {key} replaces a whole one of the base model, which the engine cannot apply")
    raise malformed(f"tensor {key} is not a LoRA matrix as llama.cpp names them (<name>.weight.lora_a or .lora_b)")


def _module(name: str, pair: GGUFPair, base: BaseModel, alpha: float) -> ModuleTensors:
    for matrix, tensor in (("A", pair.a), ("B", pair.b)):
        if len(tensor.shape) != 2:
            raise malformed(
                f"tensor {pair.key(matrix)} has shape {list(tensor.shape)}, but a LoRA matrix has two dimensions"
            )
    target = base.modules.get(name)
    kind = ModuleKind.LINEAR if target is None else target.kind
    # llama.cpp looks up rows of an embedding's A, which PEFT has in its columns
    a_shape = pair.a.shape[::-1] if kind is ModuleKind.EMBEDDING else pair.a.shape
    rank = pair.b.shape[1]
    if a_shape[0] != rank:
        raise malformed(
            f"tensors {pair.key('A')} {list(pair.a.shape)} and {pair.key('B')} {list(pair.b.shape)} have rank "
            f"{a_shape[0]} and {rank}"
        )
    if pair.heads and pair.b.shape[0] % (2 * pair.heads):
        raise incompatible(
            Reason.SHAPE_MISMATCH,
            f"tensor {pair.key('B')} has shape {list(pair.b.shape)}, whose rows are not those of {pair.heads} heads",
        )
    scaling = alpha / rank if alpha else 1.0
    return ModuleTensors(name, kind, a_shape, pair.b.shape, rank, scaling, pair)


def _said(value: object) -> str:
    return "missing" if value is None else shown(repr(value))
