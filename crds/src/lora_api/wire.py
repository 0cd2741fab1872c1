"""What every message between operator and runtime has in common."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from lora_api.v1alpha1.conditions import Reason

Digest = Annotated[str, Field(pattern=r"^sha256:[a-f0-9]{64}$")]
Revision = Annotated[str, Field(pattern=r"^[a-f0-9]{8}$")]


def _known(reason: Any) -> Any:
    return Reason.LOAD_FAILED if isinstance(reason, str) and reason not in _REASONS else reason


_REASONS = frozenset(Reason)
ToldReason = Annotated[Reason, BeforeValidator(_known)]
"""Why something failed, as a peer says it. A reason that only a later version has counts as LoadFailed: the message beside it
has the cause in words, and one word that is new must not make a whole pod look as if it were gone."""


class WireModel(BaseModel):
    """Base of every message: camelCase on the wire, frozen, tolerant of fields of a newer peer."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    def canonical(self) -> bytes:
        """The one byte string for this value: what is hashed and compared."""
        value: Any = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
