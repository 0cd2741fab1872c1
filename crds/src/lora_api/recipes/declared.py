"""A LoRAAdapter as far as it decides what is served, wherever it was declared."""

from typing import Protocol

from lora_api.v1alpha1.adapter import LoRAAdapterSpec


class Declared(Protocol):
    """One LoRAAdapter."""

    @property
    def uid(self) -> str:
        """Tells it from others that had its name before."""
        ...

    @property
    def name(self) -> str:
        """Of the object, by which blends refer to it."""
        ...

    @property
    def served_name(self) -> str:
        """What clients put in `model=`."""
        ...

    @property
    def spec(self) -> LoRAAdapterSpec:
        """What is wished."""
        ...
