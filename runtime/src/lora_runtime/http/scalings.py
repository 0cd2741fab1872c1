"""`/v1/xlora/scalings/{request id}`: how much of each expert each token of an answer got."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from lora_api.error_codes import ErrorCode
from lora_runtime.http.errors import refusal

SCALINGS_PATH = "/v1/xlora/scalings"

Told = dict[str, Any]
Ask = Callable[[str], Awaitable[list[Told]]]
"""The generations of an answer, by its id; none if it is not known."""

_OFF = (
    "Scalings are not kept here. Set spec.mixture.scalingsKept of the LoRAModel to the number of requests whose scalings each "
    "of its pods is to keep."
)


def scalings_router(kept: int, ask: Callable[[], Ask]) -> APIRouter:
    """The one route.

    Args:
        kept: Of so many requests; 0 is off.
        ask: Called for each request, as the server may have no engine before its first.
    """
    router = APIRouter()

    @router.get(f"{SCALINGS_PATH}/{{request_id:path}}", responses={404: {"description": "Off, or not known any more."}})
    async def scalings(request_id: str) -> JSONResponse:
        """What the model used; `scalings` is float16 in base64, little-endian, of the shape beside it."""
        if not kept:
            return refusal(ErrorCode.NOT_FOUND, _OFF)
        found = await ask()(request_id)
        if not found:
            return refusal(ErrorCode.NOT_FOUND, _unknown(request_id, kept))
        return JSONResponse({"id": request_id, "generations": found})

    return router


def _unknown(request_id: str, kept: int) -> str:
    return (
        f"This pod knows no request {request_id!a} any more, or never did. It keeps the scalings of the last {kept}; ask by "
        f"the `id` of the answer, or by the X-Request-Id that was sent for it, and ask the pod that answered."
    )
