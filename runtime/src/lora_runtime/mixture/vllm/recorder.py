"""The scalings of every token that has a place in the KV cache, beside that cache: of cached prefixes, too."""

import torch
from vllm.forward_context import get_forward_context


class Recorder:
    """Written by each step, outside of the compiled graph, at the slots that the step's tokens have in the KV cache."""

    def __init__(self, attention: str) -> None:
        """Nothing is recorded before `allocate`.

        Args:
            attention: Name of an attention layer, whose slots are taken.
        """
        self._attention = attention
        self.rows: torch.Tensor | None = None

    def allocate(self, slots: int, width: int, device: torch.device) -> None:
        """Begins.

        Args:
            slots: Of the KV cache.
            width: Scalings of one token.
            device: Of the model.
        """
        # one more, for tokens that only fill a batch up: their slot is -1
        self.rows = torch.zeros(slots + 1, width, dtype=torch.float16, device=device)

    def write(self, scalings: torch.Tensor) -> None:
        """Those of this step's tokens, `[tokens, width]`."""
        slots = get_forward_context().slot_mapping
        if self.rows is None or not isinstance(slots, dict) or self._attention not in slots:
            return  # a step that warms up
        places = slots[self._attention]
        count = min(len(places), len(scalings))
        self.rows[places[:count]] = scalings[:count].to(self.rows.dtype)
