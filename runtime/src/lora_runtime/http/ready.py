"""Whether a pod should get traffic."""

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

READY_PATH = "/ready"


def ready_router(settled: Callable[[], bool]) -> APIRouter:
    """The one route, which the kubelet asks."""
    router = APIRouter()

    @router.get(READY_PATH, responses={503: {"description": "Not yet."}})
    async def ready() -> JSONResponse:
        """Whether every adapter of the document the pod started with is served, or failed for good."""
        return JSONResponse({"ready": settled()}, status_code=200 if settled() else 503)

    return router
