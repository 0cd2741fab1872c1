"""How llama.cpp names the modules of a model, and which of them it rearranges; the way back to the Hugging Face class."""

from collections.abc import Mapping
from dataclasses import dataclass

from gguf import MODEL_ARCH_NAMES, TensorNameMap

from lora_runtime.adapters.base import BaseModel


@dataclass(frozen=True, slots=True)
class Architecture:
    """What llama.cpp makes of one class of models."""

    name: str
    """Its `general.architecture`."""
    rearranges: bool = False
    """It interleaves the two halves of each head in the rows of q_proj and k_proj, as its rotary embedding wants them."""


_KNOWN: Mapping[str, Architecture] = {
    "GemmaForCausalLM": Architecture("gemma"),
    "Gemma2ForCausalLM": Architecture("gemma2"),
    "Gemma3ForCausalLM": Architecture("gemma3"),
    "GraniteForCausalLM": Architecture("granite", rearranges=True),
    "LlamaForCausalLM": Architecture("llama", rearranges=True),
    "MistralForCausalLM": Architecture("llama", rearranges=True),
    "Olmo2ForCausalLM": Architecture("olmo2"),
    "Phi3ForCausalLM": Architecture("phi3"),
    "Qwen2ForCausalLM": Architecture("qwen2"),
    "Qwen3ForCausalLM": Architecture("qwen3"),
    "SmolLM3ForCausalLM": Architecture("smollm3", rearranges=True),
}
"""Classes whose modules are converted one to one. Others are split, merged or turned in ways of their own."""


def known() -> str:
    """All of them, for a message."""
    return ", ".join(sorted(_KNOWN))


def architecture_of(base: BaseModel) -> Architecture | None:
    """None for a class whose conversion is not known."""
    return _KNOWN.get(base.architecture)


def modules_by_name(architecture: Architecture, base: BaseModel) -> Mapping[str, str]:
    """The module of the base model for each name that llama.cpp gives one, such as `blk.0.attn_q`."""
    kind = next(kind for kind, name in MODEL_ARCH_NAMES.items() if name == architecture.name)
    names = TensorNameMap(kind, base.layers)
    return {name: module for module in base.modules if (name := names.get_name(module)) is not None}


def heads_of(architecture: Architecture, base: BaseModel, module: str) -> int:
    """How many heads are rearranged in the rows of a module; 0 for none."""
    if architecture.rearranges and module.endswith(".q_proj"):
        return base.heads
    if architecture.rearranges and module.endswith(".k_proj"):
        return base.key_value_heads
    return 0
