"""What the page sends."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from lora_api.v1alpha1.blend import BlendMethod
from lora_cli.domain.objects import Json


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    name: str


class Weight(_Wish):
    """An adapter shall act so strongly."""

    weight: float = Field(allow_inf_nan=False)


class Mixture(_Wish):
    """These adapters shall be served as one."""

    members: dict[str, float] = Field(min_length=1)
    method: BlendMethod
    rank: int | None = None
    density: float | None = None


class Return(_Wish):
    """An adapter shall be what it was."""

    revision: str


class Said(BaseModel):
    """A turn of a conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str


class Question(_Wish):
    """A conversation that a served name shall go on with."""

    messages: list[Said] = Field(min_length=1)
    max_tokens: int = Field(ge=1)
    temperature: float = Field(ge=0)

    def talk(self) -> list[Json]:
        """The conversation as OpenAI's API takes it."""
        return [said.model_dump() for said in self.messages]
