"""One adapter that somebody wants served."""

from dataclasses import dataclass, replace
from pathlib import Path

from lora_api.v1alpha1.adapter import LoRAAdapterSpec
from lora_api.v1alpha1.common import SecretRef

HUB_TOKEN = "huggingface"  # noqa: S105  (the name of its folder)
"""Where the token lies that this machine is logged in to the hub with."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What is to be served without a cluster."""

    wishes: tuple["Wish", ...]
    file: Path | None
    """Holds more of them, and may change."""
    hub_token: bool
    """Whether this machine has one for the hub's repositories."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A LoRAAdapter; see lora_api.recipes.declared.Declared."""

    name: str
    spec: LoRAAdapterSpec
    refresh: str | None = None
    """Its annotation of that name: a change asks for another look at the source."""

    @property
    def uid(self) -> str:
        """Its name: there is no history of objects here."""
        return self.name

    @property
    def served_name(self) -> str:
        """What clients put in `model=`."""
        return self.spec.served_name or self.name

    def with_hub_token(self) -> "Wish":
        """The same, read with this machine's token where it comes from the hub and names no other."""
        source = self.spec.source
        if source is None or source.hugging_face is None or source.credentials_ref is not None:
            return self
        shown = source.model_copy(update={"credentials_ref": SecretRef(name=HUB_TOKEN)})
        return replace(self, spec=self.spec.model_copy(update={"source": shown}))
