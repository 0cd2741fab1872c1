"""Adapters at weights in plain PEFT: the reference that the operator's weights and blends are held to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from peft import PeftModel
from peft.tuners.lora import LoraLayer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Weighted = tuple[Path, float]
"""An adapter's folder, and by how much its effect is scaled."""


def with_adapters(base: PreTrainedModel, adapters: Sequence[Weighted]) -> PreTrainedModel:
    """The base model with the sum of the adapters' effects, each scaled by its weight.

    No tensor is merged or rounded: PEFT adds every adapter's output to the layer's, so the result is as exact
    as the base's dtype. ``base`` is changed in place and must not be used afterwards.
    """
    if not adapters:
        return base
    weights = {str(index): weight for index, (_, weight) in enumerate(adapters)}
    model = PeftModel.from_pretrained(base, adapters[0][0], adapter_name="0")
    for index, (folder, _) in enumerate(adapters[1:], start=1):
        model.load_adapter(folder, adapter_name=str(index))
    model.base_model.set_adapter(list(weights))
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            # Not LoraLayer.set_scale: it divides by the rank even where the adapter is rank-stabilised.
            for name in layer.scaling:
                layer.scaling[name] *= weights[name]
    return model.eval()
