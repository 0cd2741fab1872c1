"""Entry point of `vllm.general_plugins`: tells vLLM which class serves a mixture."""

from lora_runtime.mixture.package import ARCHITECTURES

_MODELS = "lora_runtime.mixture.vllm.models"


def register() -> None:
    """Runs once or more in every vLLM process; the classes themselves are imported where one is served."""
    from vllm import ModelRegistry

    for name in ARCHITECTURES.values():
        ModelRegistry.register_model(name, f"{_MODELS}:{name}")
