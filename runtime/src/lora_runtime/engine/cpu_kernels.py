"""Makes vLLM's CPU LoRA kernels leave base-model tokens alone.

The kernels use slot -1, which means "no adapter", as a Python index: in a batch that mixes base and adapter
requests, the base's tokens get the last slot's adapter (vllm-project/vllm#48421). GPU kernels skip -1 themselves.
"""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

import torch

from lora_runtime.engine import adapted_modules

_KERNELS = ("bgmv_shrink", "bgmv_expand", "bgmv_expand_slice")
_USERS = (
    "vllm.lora.ops.torch_ops.lora_ops",
    "vllm.lora.ops.torch_ops",
    "vllm.lora.punica_wrapper.punica_cpu",
)


def skip_base_tokens(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a kernel `(inputs [tokens, ...], weights [slots, ...], output, slot of each token [tokens], ...)`.

    The inputs of tokens without an adapter become zero, so that whatever slot is read adds nothing.
    """

    @wraps(kernel)
    def wrapped(
        inputs: torch.Tensor,
        weights: torch.Tensor,
        output: torch.Tensor,
        slots: torch.Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        inputs = inputs.masked_fill((slots < 0)[:, None], 0)
        return kernel(inputs, weights, output, slots.clamp_min(0), *args, **kwargs)

    wrapped.__lora_runtime__ = True  # type: ignore[attr-defined]
    return wrapped


def install() -> None:
    """Entry point of `vllm.general_plugins`: runs once or more in every vLLM process."""
    from vllm.platforms import current_platform

    adapted_modules.install()
    if not current_platform.is_cpu():
        return
    modules = [import_module(name) for name in _USERS]
    for kernel in _KERNELS:
        original = getattr(modules[0], kernel)
        if not hasattr(original, "__lora_runtime__"):
            for module in modules:
                if hasattr(module, kernel):
                    setattr(module, kernel, skip_base_tokens(original))
