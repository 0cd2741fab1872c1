"""Completions as the engine's server makes them, for whoever offers them in another shape."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request

Json = Mapping[str, Any]


@dataclass(frozen=True)
class NotCompleted(Exception):
    """The server refuses, or has failed."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What holds for every completion of this server."""

    base: str
    """What clients call the base model."""
    max_model_len: int
    """Tokens of a prompt and its answer together."""
    max_sequences: int
    """Answers that are generated at once."""
    dtype: str
    device: str


class Completions(Protocol):
    """OpenAI's completions. The request is only there for the server to see that its client has left."""

    @property
    def facts(self) -> ServerFacts:
        """See ServerFacts."""
        ...

    async def whole(self, body: Json, request: Request) -> Json | None:
        """The answer to a request in OpenAI's shape; None when the client has left.

        Raises:
            NotCompleted: with the words of the server.
        """
        ...

    async def stream(self, body: Json, request: Request) -> AsyncGenerator[Json, None] | None:
        """The chunks of the answer; one with the key `error` ends it.

        Raises:
            NotCompleted: with the words of the server; nothing was generated then.
        """
        ...

    def text_of(self, token: int) -> str:
        """A token as it is written by itself."""
        ...

    def is_special(self, token: int) -> bool:
        """Whether a token is one that answers do not show."""
        ...
