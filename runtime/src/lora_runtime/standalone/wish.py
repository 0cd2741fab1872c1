"""One adapter that somebody wants served."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from lora_api.local_api import DeclaredBy
from lora_api.v1alpha1.adapter import AdapterSource, LoRAAdapterSpec
from lora_api.v1alpha1.common import SecretRef

HUB_TOKEN = "huggingface"  # noqa: S105  (the name of its folder)
"""Where the token lies that this machine is logged in to the hub with."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Who may change over HTTP what is served; by default nobody."""

    loopback: bool = False
    """Every process of this machine."""
    keys_file: Path | None = None
    """Who shows one of its keys, one a line, from wherever."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What is to be served without a cluster."""

    wishes: tuple["Wish", ...]
    file: Path | None
    """Holds more of them, and may change."""
    hub_token: bool
    """Whether this machine has one for the hub's repositories."""
    changes: Changes = Changes()


@dataclass(frozen=True, slots=True)
class Wish:
    """A LoRAAdapter; see lora_api.recipes.declared.Declared."""

    name: str
    spec: LoRAAdapterSpec
    refresh: str | None = None
    """Its annotation of that name: a change asks for another look at the source."""
    declared_by: DeclaredBy = DeclaredBy.COMMAND_LINE

    @property
    def uid(self) -> str:
        """Its name: there is no history of objects here."""
        return self.name

    @property
    def served_name(self) -> str:
        """What clients put in `model=`."""
        return self.spec.served_name or self.name

    @property
    def version(self) -> str:
        """Names this very spec."""
        written = self.spec.model_dump_json(by_alias=True, exclude_none=True)
        return hashlib.sha256(written.encode()).hexdigest()[:16]

    def with_hub_token(self) -> "Wish":
        """The same, read with this machine's token where it comes from the hub and names no other."""
        if self.spec.source is None:
            return self
        return replace(self, spec=self.spec.model_copy(update={"source": with_hub_token(self.spec.source)}))


def with_hub_token(source: AdapterSource) -> AdapterSource:
    """The same, read with this machine's token if it is on the hub and names no other."""
    if source.hugging_face is None or source.credentials_ref is not None:
        return source
    return source.model_copy(update={"credentials_ref": SecretRef(name=HUB_TOKEN)})
