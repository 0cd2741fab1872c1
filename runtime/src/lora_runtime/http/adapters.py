"""What a runtime without a cluster tells of its adapters, and takes of those who may change them."""

from http import HTTPStatus
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from lora_api.error_codes import ErrorCode
from lora_api.local_api import ADAPTERS_PATH, LOCAL_RESOLVE_PATH, DeclaredBy, LocalAdapter, LocalState
from lora_api.runtime_api import MAX_WAIT_SECONDS, ResolveRequest, ResolveResponse
from lora_api.v1alpha1.adapter import LoRAAdapterSpec
from lora_api.v1alpha1.common import ServedName
from lora_api.wire import WireModel
from lora_api.wrong_values import in_words
from lora_runtime.http.bodies import read_body
from lora_runtime.http.changers import Changers
from lora_runtime.http.described import takes
from lora_runtime.http.errors import refusal
from lora_runtime.standalone import rules
from lora_runtime.standalone.asked import Expected, NotAsExpected, NotChanged
from lora_runtime.standalone.manifest import Unreadable, spec_of
from lora_runtime.standalone.wish import Wish

_NAME: TypeAdapter[str] = TypeAdapter(ServedName)
_LONGEST_SPEC = 1 << 16
_ANY = "*"
_REFUSED: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "[Refused](errors.md#over-http); `error.message` says why, and what to do."}
}

DryRun = Annotated[Literal["All"] | None, Query(alias="dryRun")]
Match = Annotated[str | None, Header()]
Wait = Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)]


class Local(Protocol):
    """What is declared here; see Declarations."""

    def state(self) -> LocalState:
        """See Declarations.state."""
        ...

    async def declare(self, wish: Wish, expected: Expected, *, dry_run: bool) -> LocalAdapter:
        """See Declarations.declare."""
        ...

    async def drop(self, name: str, expected: Expected, *, dry_run: bool) -> None:
        """See Declarations.drop."""
        ...

    async def resolve(self, request: ResolveRequest, wait_seconds: float) -> ResolveResponse:
        """See Declarations.resolve."""
        ...


def adapters_router(local: Local, changers: Changers) -> APIRouter:
    """The routes of lora_api.local_api."""
    router = APIRouter()

    @router.get(ADAPTERS_PATH, responses={200: {"model": LocalState}})
    async def adapters() -> Response:
        """What is declared, what is served of it, and why the rest is not."""
        return _told(local.state())

    @router.put(
        ADAPTERS_PATH + "/{name:path}",
        openapi_extra=takes(LoRAAdapterSpec),
        responses={200: {"model": LocalAdapter}, **_REFUSED},
    )
    async def put(
        name: str, request: Request, dry_run: DryRun = None, if_match: Match = None, if_none_match: Match = None
    ) -> Response:
        """Declares an adapter by the spec of a LoRAAdapter, or changes it."""
        if (refused := changers.refuse(request.scope)) is not None:
            return refused
        try:
            # Python's own reader would go as deep as a body does.
            spec = spec_of(from_json(await read_body(request, _LONGEST_SPEC)))
            wish = Wish(_NAME.validate_python(name), spec, declared_by=DeclaredBy.REQUEST)
        except (Unreadable, ValueError) as error:
            why = in_words(error, "name") if isinstance(error, ValidationError) else str(error)
            return refusal(ErrorCode.INVALID, f"{name}: {why}")
        expected = _expected(if_match, if_none_match)
        try:
            return _told(await local.declare(wish, expected, dry_run=dry_run is not None))
        except NotChanged as error:
            return _not_changed(error)

    @router.delete(ADAPTERS_PATH + "/{name:path}", responses=_REFUSED)
    async def delete(name: str, request: Request, dry_run: DryRun = None, if_match: Match = None) -> Response:
        """Declares an adapter no longer."""
        if (refused := changers.refuse(request.scope)) is not None:
            return refused
        try:
            await local.drop(name, _expected(if_match), dry_run=dry_run is not None)
        except NotChanged as error:
            return _not_changed(error)
        return Response(status_code=204)

    @router.post(
        LOCAL_RESOLVE_PATH,
        openapi_extra=takes(ResolveRequest),
        responses={200: {"model": ResolveResponse}, **_REFUSED},
    )
    async def resolve(request: Request, wait: Wait = 0) -> Response:
        """Finds, pins and checks a source as for an adapter, and serves nothing of it."""
        # It makes this process fetch, as a change does.
        if (refused := changers.refuse(request.scope)) is not None:
            return refused
        try:
            asked = ResolveRequest.model_validate_json(await read_body(request, _LONGEST_SPEC))
        except ValidationError as error:
            return refusal(ErrorCode.INVALID, in_words(error))
        for problem in rules.of_source(asked.source):
            return refusal(ErrorCode.INVALID, problem)
        return _told(await local.resolve(asked, wait))

    return router


def _told(answer: WireModel) -> Response:
    return Response(answer.model_dump_json(by_alias=True, exclude_none=True), media_type="application/json")


def _not_changed(error: NotChanged) -> Response:
    status = HTTPStatus.PRECONDITION_FAILED if isinstance(error, NotAsExpected) else None
    return refusal(error.code, str(error), status=status)


def _expected(if_match: str | None, if_none_match: str | None = None) -> Expected:
    any_version = if_match == _ANY
    version = None if if_match is None or any_version else if_match.strip('"')
    return Expected(version, present=any_version, absent=if_none_match == _ANY)
