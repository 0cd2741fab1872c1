"""`/generate`, `/generate_stream`, `/info` and `/`, as TGI has them."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from importlib import metadata
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from lora_runtime.engine.completing import Completions, Json, NotCompleted
from lora_runtime.http.described import takes
from lora_runtime.http.tgi import translation
from lora_runtime.http.tgi.messages import GenerateRequest, Invalid, read

_VERSION = metadata.version("lora-operator")
_CLIENT_LEFT = 499
_INVALID = 422
_REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"description": "Nobody declared that `adapter_id`."},
    422: {"description": "A parameter is wrong, or the prompt is too long."},
    424: {"description": "The engine failed."},
    503: {"description": "`adapter_id` is declared, but not served yet; `Retry-After` says when to ask again."},
}


def tgi_router(completions: Callable[[], Completions]) -> APIRouter:
    """The routes.

    Args:
        completions: called for each request, as the server may have none before its first.
    """
    router = APIRouter()

    @router.post("/generate", openapi_extra=takes(GenerateRequest), responses=_REFUSALS)
    async def generate(request: Request) -> Response:
        """The whole answer: `{"generated_text", "details"}`."""
        return await _answered(await _read(request), request, completions(), listed=False)

    @router.post("/generate_stream", openapi_extra=takes(GenerateRequest), responses=_REFUSALS)
    async def generate_stream(request: Request) -> Response:
        """The answer as server-sent events, one for each token; the last has `generated_text`."""
        return await _streamed(await _read(request), request, completions())

    @router.post("/", openapi_extra=takes(GenerateRequest), responses=_REFUSALS)
    async def compat(request: Request) -> Response:
        """A list of one answer as of `/generate`; with `stream`, what `/generate_stream` answers."""
        asked = await _read(request)
        if isinstance(asked, GenerateRequest) and asked.stream:
            return await _streamed(asked, request, completions())
        return await _answered(asked, request, completions(), listed=True)

    @router.get("/info")
    async def info() -> Json:
        """The model and the limits, as TGI tells them."""
        return translation.info(completions().facts, _VERSION)

    return router


async def _read(request: Request) -> GenerateRequest | Invalid:
    try:
        return read(await request.body())
    except Invalid as error:
        return error


async def _answered(
    asked: GenerateRequest | Invalid, request: Request, completions: Completions, *, listed: bool
) -> Response:
    """The whole answer; in a list of one where that is the custom."""
    if isinstance(asked, Invalid):
        return _failed(_INVALID, str(asked))
    try:
        body = translation.completion(asked, completions.facts.base, stream=False)
        completed = await completions.whole(body, request)
    except NotCompleted as error:
        return _failed(error.status, error.message)
    if completed is None:
        return Response(status_code=_CLIENT_LEFT)
    answer = translation.answer(asked, completed, completions)
    return JSONResponse([answer] if listed else answer)


async def _streamed(asked: GenerateRequest | Invalid, request: Request, completions: Completions) -> Response:
    """The answer as it comes; what is refused has its own status, since nothing was sent before."""
    if isinstance(asked, Invalid):
        return _failed(_INVALID, str(asked))
    try:
        asked.check_stream()
        body = translation.completion(asked, completions.facts.base, stream=True)
        chunks = await completions.stream(body, request)
    except Invalid as error:
        return _failed(_INVALID, str(error))
    except NotCompleted as error:
        return _failed(error.status, error.message)
    if chunks is None:
        return Response(status_code=_CLIENT_LEFT)

    async def events() -> AsyncIterator[str]:
        streamed = translation.Streamed(asked, completions)
        async with aclosing(chunks):
            async for chunk in chunks:
                if (error := chunk.get("error")) is not None:
                    yield _event(translation.failure(error["code"], error["message"])[1])
                    return
                for event in streamed.events(chunk):
                    yield _event(event)
        if not streamed.finished:
            yield _event(translation.INCOMPLETE[1])

    return StreamingResponse(events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _event(value: Json) -> str:
    return f"data:{json.dumps(value)}\n\n"


def _failed(status: int, message: str) -> JSONResponse:
    told, error = translation.failure(status, message)
    return JSONResponse(error, status_code=told)
