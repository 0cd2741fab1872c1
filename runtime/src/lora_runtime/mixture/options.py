"""How a mixture is computed: the part of PEFT's XLoraConfig that decides what a trained one answers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_LARGEST = 1e4
"""Beyond what trains; within what float16 holds."""

Finite = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]


class Options(BaseModel):
    """PEFT's names and defaults; what decides about training only is left out."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    hidden_size: Annotated[int, Field(ge=1)]
    """Of the base model: what the classifier reads of each token."""
    xlora_depth: Annotated[int, Field(ge=1, le=64)] = 1
    """Linear layers of the classifier."""
    xlora_size: Annotated[int, Field(ge=1, le=1 << 16)] = 2048
    """Width between them."""
    xlora_dropout_p: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Does nothing in serving, but PEFT numbers the classifier's layers by it."""
    layerwise_scalings: bool = False
    """A scaling for each adapted layer; else one for all of them."""
    enable_softmax: bool = True
    softmax_temperature: Annotated[float, Field(gt=0, le=_LARGEST)] = 1.0
    top_k_lora: Annotated[int, Field(ge=1)] | None = None
    """Experts of a token and layer that are kept; the scalings of the others become zero."""
    enable_softmax_topk: bool = False
    """A softmax over what is not zero."""
    global_scaling_weight: Finite = 1.0
    scaling_pass_value: Finite = 0.0
    """Of every expert in the pass that the classifier reads; with 0 it reads the plain base model."""
