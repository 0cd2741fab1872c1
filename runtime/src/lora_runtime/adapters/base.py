"""The shape of a base model: every module that a LoRA can adapt, without any weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from lora_runtime.adapters.errors import BaseModelUnavailable
from lora_runtime.adapters.inspect import ModuleKind


@dataclass(frozen=True, slots=True)
class BaseModule:
    """One module of the base model."""

    in_features: int
    """Width of the input; for an embedding, the vocabulary."""
    out_features: int
    kind: ModuleKind


@dataclass(frozen=True, slots=True)
class BaseModel:
    """What adapters are held against."""

    architecture: str
    """Class of the model, for messages: `LlamaForCausalLM`."""
    modules: Mapping[str, BaseModule]
    """By path in the Hugging Face class, which is what PEFT writes into an adapter."""
    others: Mapping[str, str] = field(default_factory=dict)
    """Paths of all other modules, which no LoRA can adapt, to the name of their class."""
    layers: int = 0
    heads: int = 0
    """Of the attention: parts of q_proj's output."""
    key_value_heads: int = 0
    """Parts of k_proj's output."""


def load_base(folder: Path) -> BaseModel:
    """Builds the model's class without memory for its weights and lists its modules; takes seconds.

    Raises:
        BaseModelUnavailable: the folder's configuration is missing, broken, or of an unknown kind.
    """
    # transformers takes seconds to import; only a pod that serves adapters pays for it
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.pytorch_utils import Conv1D

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        kinds = (AutoModelForCausalLM, AutoModelForImageTextToText)
        # the mapping from configurations to classes has no public name
        auto = next((kind for kind in kinds if type(config) in kind._model_mapping), AutoModelForCausalLM)
        with torch.device("meta"):
            model = auto.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, TypeError) as error:
        raise BaseModelUnavailable(
            f"the base model in {folder} cannot be read: {error}. The folder needs a config.json of a model that "
            f"this version of transformers knows without remote code"
        ) from error
    modules = dict(_modules(model, Conv1D))
    others = {name: type(module).__name__ for name, module in model.named_modules() if name not in modules}
    text = config.get_text_config()
    layers, heads = _number(text, "num_hidden_layers"), _number(text, "num_attention_heads")
    return BaseModel(
        type(model).__name__,
        MappingProxyType(modules),
        MappingProxyType(others),
        layers=layers,
        heads=heads,
        key_value_heads=_number(text, "num_key_value_heads") or heads,
    )


def _number(config: Any, name: str) -> int:
    """0 where a model has none, or one for each layer."""
    found = getattr(config, name, None)
    return found if isinstance(found, int) else 0


def _modules(model: torch.nn.Module, transposed_linear: type[Any]) -> Iterator[tuple[str, BaseModule]]:
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            yield name, BaseModule(module.in_features, module.out_features, ModuleKind.LINEAR)
        elif isinstance(module, transposed_linear):
            in_features, out_features = module.weight.shape
            yield name, BaseModule(in_features, out_features, ModuleKind.LINEAR)
        elif isinstance(module, torch.nn.Embedding):
            yield name, BaseModule(module.num_embeddings, module.embedding_dim, ModuleKind.EMBEDDING)
