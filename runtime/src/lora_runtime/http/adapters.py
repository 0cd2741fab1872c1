"""What a runtime without a cluster tells of its adapters, beside what clients ask of them."""

from collections.abc import Callable

from fastapi import APIRouter, Response

from lora_api.local_api import ADAPTERS_PATH, LocalState


def adapters_router(state: Callable[[], LocalState]) -> APIRouter:
    """The one route; it changes nothing."""
    router = APIRouter()

    @router.get(ADAPTERS_PATH, responses={200: {"model": LocalState}})
    async def adapters() -> Response:
        """What is declared, what is served of it, and why the rest is not."""
        return Response(state().model_dump_json(by_alias=True, exclude_none=True), media_type="application/json")

    return router
