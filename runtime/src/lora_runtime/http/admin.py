"""The admin server: the operator's way in. Mutual TLS; a port of its own, which no client of the API needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import uvicorn
from fastapi import FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lora_api.error_codes import ErrorCode, code_of_status
from lora_api.runtime_api import (
    DESIRED_PATH,
    INVENTORY_PATH,
    MAX_MESSAGE_BYTES,
    MAX_WAIT_SECONDS,
    MEMORY_PATH,
    RESOLVE_PATH,
    Desired,
    DesiredPatch,
    EngineMemory,
    Inventory,
    Mismatch,
    ResolveRequest,
    ResolveResponse,
)  # fmt: skip
from lora_api.wire import WireModel
from lora_api.wrong_values import in_words
from lora_runtime.http.bodies import read_body
from lora_runtime.http.counted import Counted
from lora_runtime.http.described import takes
from lora_runtime.http.errors import refusal
from lora_runtime.http.mounted_tls import MountedTls
from lora_runtime.metrics.lifecycle import Lifecycle
from lora_runtime.service import OutOfOrder, Service

Message = TypeVar("Message", bound=WireModel)

Wait = Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for news before answering.")]
After = Annotated[str | None, Query(description="The etag that the asker knows: answers as soon as it differs.")]
Since = Annotated[str | None, Query(description="An etag: answers only what has changed after it, if that is known.")]
IfMatch = Annotated[str, Header(description="Etag of the document that the patch changes.")]

_TOLD: dict[int | str, dict[str, Any]] = {200: {"model": Inventory}}
_OUT_OF_ORDER: dict[int | str, dict[str, Any]] = {409: {"description": "An older document than the present one."}}
_MISMATCH: dict[int | str, dict[str, Any]] = {
    412: {"description": "The present document is not that of `If-Match`: PUT the whole."}
}
_WRONG: dict[int | str, dict[str, Any]] = {
    422: {"description": "It is not what is asked for here; `error.message` says what is wrong, and where."}
}
_REFUSALS = {**_WRONG, 413: {"description": f"Longer than {MAX_MESSAGE_BYTES} bytes."}}


def admin_app(service: Service, counts: Lifecycle) -> FastAPI:
    """The routes, as an ASGI app."""
    app = FastAPI(title="lora-runtime admin", openapi_url=None)
    app.add_middleware(Counted, counts=counts)

    @app.put(DESIRED_PATH, openapi_extra=takes(Desired), responses=_TOLD | _OUT_OF_ORDER | _REFUSALS)
    async def put_desired(request: Request, since: Since = None) -> Response:
        """Sets the whole desired document; answers the inventory."""
        try:
            await service.put(_read(Desired, await _body(request)))
        except OutOfOrder as error:
            raise HTTPException(409, str(error)) from error
        return _told(service.inventory(since))

    @app.patch(DESIRED_PATH, openapi_extra=takes(DesiredPatch), responses=_TOLD | _OUT_OF_ORDER | _MISMATCH | _REFUSALS)
    async def patch_desired(request: Request, if_match: IfMatch, since: Since = None) -> Response:
        """Changes the desired document; answers the inventory."""
        try:
            await service.patch(if_match.strip('"'), _read(DesiredPatch, await _body(request)))
        except Mismatch as error:
            raise HTTPException(412, str(error)) from error
        except OutOfOrder as error:
            raise HTTPException(409, str(error)) from error
        return _told(service.inventory(since))

    @app.get(INVENTORY_PATH, responses=_TOLD | _WRONG)
    async def get_inventory(after: After = None, wait: Wait = 0, since: Since = None) -> Response:
        """What there is of each adapter, as soon as it differs from what the asker knows."""
        return _told(await service.inventory_after(after, wait, since))

    @app.post(RESOLVE_PATH, response_model_exclude_none=True, openapi_extra=takes(ResolveRequest), responses=_REFUSALS)
    async def resolve(request: Request, wait: Wait = 0) -> ResolveResponse:
        """Pins one source to a commit and a digest, and checks it against the base model."""
        return await service.resolve(_read(ResolveRequest, await _body(request)), wait)

    @app.get(MEMORY_PATH, responses={503: {"description": "The engine is not there yet."}})
    async def memory() -> EngineMemory:
        """The engine's own account of the tensors it holds; asks the engine."""
        found = await service.memory()
        if found is None:
            raise HTTPException(503, "the engine is not there yet: ask again when the pod is ready")
        return found

    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(StarletteHTTPException, _told_why)
    return app


def _told(inventory: Inventory) -> Response:
    # By pydantic's own writer: FastAPI's way over Python's objects takes fifty times as long for thousands of names.
    return Response(inventory.model_dump_json(by_alias=True, exclude_none=True), media_type="application/json")


async def _refused(request: Request, error: Exception) -> JSONResponse:
    """Says what is wrong, and where, without repeating what was sent: NaN and half characters are no JSON."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # it was registered for these
    return refusal(ErrorCode.INVALID, _shown(error.errors()), status=422)


async def _told_why(request: Request, error: Exception) -> JSONResponse:
    """The same shape for what the routes refuse, and for what there is no route for."""
    assert isinstance(error, StarletteHTTPException)  # noqa: S101  # it was registered for these
    code = code_of_status(error.status_code) or ErrorCode.NOT_READY
    return refusal(code, str(error.detail), status=error.status_code, headers=error.headers)


async def _body(request: Request) -> bytes:
    try:
        return await read_body(request, MAX_MESSAGE_BYTES)
    except HTTPException as refused:
        # Not with its "Connection: close": see `_Connection`.
        raise HTTPException(refused.status_code, refused.detail) from None


def _read(kind: type[Message], body: bytes) -> Message:
    """A message from its bytes: pydantic's own JSON reader takes no half characters, which no answer could repeat."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise HTTPException(422, _shown(error)) from error


def _shown(error: ValidationError | Sequence[Any]) -> str:
    return ascii(in_words(error))[1:-1]


class _Connection(HttpToolsProtocol):
    """Reads past the rest of a body that was answered before its end, no further than a message may go, and is then cut off.

    To close it properly is no way out: uvloop's TLS waits half a minute for the other side's goodbye, and throws away what comes instead.
    """

    _past = 0
    """Bytes that came after an answer, for the request that it answers."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle = self.cycle
        if cycle is not None and cycle.response_complete and cycle.more_body:
            self._past += len(data)
            if self._past > MAX_MESSAGE_BYTES:
                self.transport.abort()
        else:
            self._past = 0

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() and self.cycle.more_body:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        super().send_400_response(msg)
        self.transport.abort()


def admin_server(app: FastAPI, host: str, port: int, tls_folder: Path | None) -> uvicorn.Server:
    """A server that only talks to who holds a certificate of our authority; plain HTTP without a folder.

    Raises:
        OSError: the folder holds no certificate.
    """
    config = uvicorn.Config(
        app, host=host, port=port, http=_Connection, log_config=None, access_log=False, timeout_keep_alive=75,
        server_header=False,
    )  # fmt: skip
    config.load()
    # uvicorn's own settings would read the files once.
    config.ssl = None if tls_folder is None else MountedTls(tls_folder).listening()
    return uvicorn.Server(config)
