"""Whom an advice is about. Pure."""

import re
from dataclasses import dataclass
from typing import Self

from lora_api.v1alpha1.adapter import LoRAAdapter
from lora_api.v1alpha1.model import LoRAModel
from lora_cli.domain.objects import Adapter, Model

_POD = re.compile(r"pod (\S+): (?:container (\S+) ended )?")
"""How the operator's messages about one pod begin, and about a crash of it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An object, and what of it makes one advice better than another."""

    name: str
    model: str
    namespace: str
    kind: str = LoRAAdapter.kind.lower()
    in_volume: bool = False
    """Its files are in a volume, and no server's words or Secrets have a part in it."""
    pod: str = ""
    """That the message is about; empty if about several, or none."""
    container: str = ""
    """That crashed, of this pod."""

    @classmethod
    def of(cls, observed: Adapter | Model, message: str = "") -> Self:
        """The subject of a message in an object's status."""
        named = _POD.match(message)
        return cls(
            observed.meta.name,
            observed.model if isinstance(observed, Adapter) else observed.meta.name,
            observed.meta.namespace,
            _kind(observed).lower(),
            _is_in_volume(observed),
            "" if named is None else named[1],
            "" if named is None else named[2] or "",
        )


def _kind(observed: Adapter | Model) -> str:
    return LoRAAdapter.kind if isinstance(observed, Adapter) else LoRAModel.kind


def _is_in_volume(observed: Adapter | Model) -> bool:
    if isinstance(observed, Adapter):
        source = observed.spec.source
    else:
        # Without the base model's files a pod ends; reasons about a source are those of a mixture.
        source = None if observed.spec.mixture is None else observed.spec.mixture.source
    return source is not None and source.volume is not None
