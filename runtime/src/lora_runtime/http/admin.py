"""The admin server: the operator's way in. Mutual TLS; a port of its own, which no client of the API needs."""

import ssl
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import FastAPI, HTTPException, Query

from lora_api.runtime_api import (
    DESIRED_PATH,
    INVENTORY_PATH,
    MAX_WAIT_SECONDS,
    MEMORY_PATH,
    RESOLVE_PATH,
    Desired,
    EngineMemory,
    Inventory,
    ResolveRequest,
    ResolveResponse,
)  # fmt: skip
from lora_runtime.http.counted import Counted
from lora_runtime.metrics.lifecycle import Lifecycle
from lora_runtime.service import OutOfOrder, Service

Wait = Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)]


def admin_app(service: Service, counts: Lifecycle) -> FastAPI:
    """The routes, as an ASGI app."""
    app = FastAPI(title="lora-runtime admin", openapi_url=None)
    app.add_middleware(Counted, counts=counts)

    @app.put(DESIRED_PATH, response_model_exclude_none=True)
    async def put_desired(document: Desired) -> Inventory:
        try:
            await service.put(document)
        except OutOfOrder as error:
            raise HTTPException(409, str(error)) from error
        return service.inventory()

    @app.get(INVENTORY_PATH, response_model_exclude_none=True)
    async def get_inventory(after: str | None = None, wait: Wait = 0) -> Inventory:
        return await service.inventory_after(after, wait)

    @app.post(RESOLVE_PATH, response_model_exclude_none=True)
    async def resolve(question: ResolveRequest, wait: Wait = 0) -> ResolveResponse:
        return await service.resolve(question, wait)

    @app.get(MEMORY_PATH)
    async def memory() -> EngineMemory:
        found = await service.memory()
        if found is None:
            raise HTTPException(503, "the engine is not there yet: ask again when the pod is ready")
        return found

    return app


def admin_server(app: FastAPI, host: str, port: int, tls_folder: Path | None) -> uvicorn.Server:
    """A server that only talks to who holds a certificate of our authority; plain HTTP without a folder."""
    tls = tls_folder
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=75,
        ssl_certfile=tls / "tls.crt" if tls else None,
        ssl_keyfile=tls / "tls.key" if tls else None,
        ssl_ca_certs=str(tls / "ca.crt") if tls else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if tls else ssl.CERT_NONE,
    )
    return uvicorn.Server(config)
