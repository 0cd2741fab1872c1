"""Makes vLLM's CPU LoRA kernels leave base-model tokens alone.

The kernels use slot -1, which means "no adapter", as a Python index: in a batch that mixes base and adapter
requests, the base's tokens get the last slot's adapter (vllm-project/vllm#48421). GPU kernels skip -1 themselves.
"""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

import torch

from lora_runtime.engine import gloo_device

Kernel = Callable[..., None]
_USERS = (
    "vllm.lora.ops.torch_ops.lora_ops",
    "vllm.lora.ops.torch_ops",
    "vllm.lora.punica_wrapper.punica_cpu",
)


def skip_base_tokens(kernel: Kernel) -> Kernel:
    """Wraps the kernel that multiplies with A: `(inputs, weights, output [tokens, rank], slot of each token, ...)`.

    What it gives for tokens without an adapter becomes zero, so that B adds nothing, whichever slot it is read from.
    """

    @wraps(kernel)
    def wrapped(
        inputs: torch.Tensor,
        weights: torch.Tensor,
        output: torch.Tensor,
        slots: torch.Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        kernel(inputs, weights, output, slots, *args, **kwargs)
        # Cheaper than on the way in, and there are hundreds of calls in a step: the output is as narrow as the rank.
        output.masked_fill_((slots < 0)[:, None], 0)

    return wrapped


def drop_base_tokens(kernel: Kernel) -> Kernel:
    """Wraps a kernel that multiplies with B and has inputs that do not come from A's kernel, but from a look-up."""

    @wraps(kernel)
    def wrapped(
        inputs: torch.Tensor,
        weights: torch.Tensor,
        output: torch.Tensor,
        slots: torch.Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        kernel(inputs.masked_fill((slots < 0)[:, None], 0), weights, output, slots, *args, **kwargs)

    return wrapped


def install() -> None:
    """Entry point of `vllm.general_plugins`: runs once or more in every vLLM process."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    gloo_device.install()
    modules = [import_module(name) for name in _USERS]
    # Not `bgmv_expand_slice`: its inputs always come from `bgmv_shrink`. `bgmv_expand` also serves embeddings.
    for kernel, repair in {"bgmv_shrink": skip_base_tokens, "bgmv_expand": drop_base_tokens}.items():
        original = getattr(modules[0], kernel)
        if not hasattr(original, "__wrapped__"):
            for module in modules:
                if hasattr(module, kernel):
                    setattr(module, kernel, repair(original))
