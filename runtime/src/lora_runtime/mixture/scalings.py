"""From what the classifier says of a token to how much of each expert it gets. Pure, and exactly PEFT's arithmetic."""

import torch

from lora_runtime.mixture.options import Options


def predicted(logits: torch.Tensor, options: Options) -> torch.Tensor:
    """What PEFT calls the scalings, of the classifier's `[..., experts]`."""
    return torch.softmax(logits / options.softmax_temperature, dim=-1) if options.enable_softmax else logits


def applied(scalings: torch.Tensor, options: Options) -> torch.Tensor:
    """What is multiplied with the experts' effects: the largest few if so wanted, made to sum up, weighted."""
    if options.top_k_lora is not None:
        kept = torch.zeros_like(scalings, dtype=torch.bool)
        kept = kept.scatter(-1, scalings.topk(options.top_k_lora, dim=-1).indices, True)
        scalings = scalings * kept.to(scalings.dtype)
    if options.enable_softmax_topk:
        # a kept one that is zero is left out, too
        left_out = scalings == 0
        scalings = torch.softmax(scalings.masked_fill(left_out, float("-inf")), dim=-1).masked_fill(left_out, 0.0)
    return scalings * options.global_scaling_weight


def of_the_scaling_pass(experts: int, options: Options) -> torch.Tensor | None:
    """`[experts]`, the same for every token and layer; None where the pass is the plain base model's."""
    scalings = applied(torch.full((experts,), options.scaling_pass_value), options)
    return scalings if bool(scalings.any()) else None
