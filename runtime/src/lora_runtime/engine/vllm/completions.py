"""vLLM's own handler of completions, called with JSON and answering with it."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import cached_property
from typing import Any

from starlette.datastructures import State
from starlette.requests import Request
from vllm.entrypoints.openai.completion.protocol import CompletionRequest, CompletionResponse
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.entrypoints.serve.exception_handling.error_response import create_error_response
from vllm.entrypoints.serve.utils.api_utils import with_cancellation
from vllm.exceptions import VLLMError
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from lora_runtime.engine.completing import Json, NotCompleted, ServerFacts

_DATA, _DONE = "data: ", "[DONE]"
_EXPLAINED = (VLLMError, ValueError, TypeError, OverflowError, NotImplementedError)
"""What vLLM's own routes make answers of; anything else is a fault of the server."""


class VllmCompletions:
    """A Completions; for the server's event loop."""

    def __init__(self, state: State) -> None:
        """Takes the server's state, once that is set up."""
        self._handler: Any = state.openai_serving_completion
        self._models: Any = state.openai_serving_models
        self._config: Any = state.engine_client.vllm_config
        self._tokenizer: Any = self._handler.renderer.tokenizer

    @cached_property
    def facts(self) -> ServerFacts:
        """See Completions.facts."""
        return ServerFacts(
            base=str(self._models.base_model_paths[0].name),
            max_model_len=self._config.model_config.max_model_len,
            max_sequences=self._config.scheduler_config.max_num_seqs,
            dtype=str(self._config.model_config.dtype),
            device=str(self._config.device_config.device_type),
        )

    async def whole(self, body: Json, request: Request) -> Json | None:
        """See Completions.whole."""
        made = await self._create(body, request)
        if made is None:
            return None
        assert isinstance(made, CompletionResponse)  # noqa: S101  (no stream was asked for)
        found: Json = made.model_dump(mode="json")
        return found

    async def stream(self, body: Json, request: Request) -> AsyncGenerator[Json, None] | None:
        """See Completions.stream."""
        made = await self._create({**body, "stream": True}, request)
        return None if made is None else _parsed(made)

    def text_of(self, token: int) -> str:
        """See Completions.text_of."""
        return str(self._tokenizer.decode([token]))

    def is_special(self, token: int) -> bool:
        """See Completions.is_special."""
        return token in self._special

    @cached_property
    def _special(self) -> frozenset[int]:
        return frozenset(self._tokenizer.all_special_ids)

    async def _create(self, body: Json, request: Request) -> Any:
        # As vLLM's own route does: who leaves is not generated for.
        create: Callable[..., Any] = with_cancellation(self._handler.create_completion)
        try:
            made = await create(CompletionRequest.model_validate(body), request)
        except (EngineDeadError, EngineGenerateError):
            # The server's own handler ends a process whose engine has ended.
            raise
        except _EXPLAINED as error:
            made = create_error_response(error)
        if isinstance(made, ErrorResponse):
            raise NotCompleted(made.error.code, made.error.message)
        return made


async def _parsed(events: AsyncGenerator[str, None]) -> AsyncGenerator[Json, None]:
    """The chunks in server-sent events."""
    # Closed with this one, however it ends: that is how vLLM learns that a client has left.
    async with aclosing(events):
        async for event in events:
            text = event.strip().removeprefix(_DATA)
            if text and text != _DONE:
                yield json.loads(text)
