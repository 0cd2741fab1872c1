"""Scalings as a pod tells them."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def told(values: npt.NDArray[np.float16], layers: Sequence[str] | None = None) -> dict[str, Any]:
    """One generation of `[tokens, layers, experts]`, all of its tokens but the last of the prompt."""
    tokens, width, experts = values.shape
    return {
        "promptTokens": tokens - 1,
        "tokens": list(range(10, 10 + tokens)),
        "experts": [f"e{number}" for number in range(experts)],
        "layers": [f"l{number}" for number in range(width)] if layers is None else list(layers),
        "shape": list(values.shape),
        "dtype": "float16",
        "scalings": base64.b64encode(values.astype("<f2").tobytes()).decode(),
    }
