"""Hands the scalings of this step's tokens to every linear layer of a run."""

import torch


class Gates:
    """Open during one run of the decoder; the layers' own calls have no place for another argument."""

    def __init__(self) -> None:
        self._scalings: torch.Tensor | None = None

    def open(self, scalings: torch.Tensor) -> None:
        """`[tokens, layers, experts]`, or of one token and one layer where all get the same."""
        self._scalings = scalings.flatten(1)

    def close(self) -> None:
        """So that no step can use those of an earlier one."""
        self._scalings = None

    def of(self, columns: torch.Tensor) -> torch.Tensor:
        """`[tokens, columns]`: a column is `layer * experts + expert`."""
        assert self._scalings is not None, "a linear layer ran outside of its run"  # noqa: S101
        return self._scalings.index_select(1, columns)
