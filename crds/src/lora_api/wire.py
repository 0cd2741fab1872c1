"""What every message between operator and runtime has in common."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Digest = Annotated[str, Field(pattern=r"^sha256:[a-f0-9]{64}$")]
Revision = Annotated[str, Field(pattern=r"^[a-f0-9]{8}$")]


class WireModel(BaseModel):
    """Base of every message: camelCase on the wire, frozen, tolerant of fields of a newer peer."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    def canonical(self) -> bytes:
        """The one byte string for this value: what is hashed and compared."""
        value: Any = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
