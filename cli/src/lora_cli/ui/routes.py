"""What the page can ask this process for."""

import json
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lora_api.error_codes import ErrorCode
from lora_api.wrong_values import in_words
from lora_cli.clients import clock
from lora_cli.clients.objects import ADAPTERS
from lora_cli.domain import changes, history
from lora_cli.domain.objects import Json, adapter_of
from lora_cli.errors import Failed
from lora_cli.kept_scalings import kept_scalings
from lora_cli.session import Session
from lora_cli.ui import views, wishes
from lora_cli.ui.board import Board, Snapshot

_STATIC = Path(__file__).with_name("static")
_TICK_SECONDS = 1.0
"""Ages grow although nothing happens, and whoever has gone is noticed."""
_BREATH_SECONDS = 0.05
"""Between two states, however much happens."""
_SILENCE = ": nothing new\n\n"
_STATUS = {
    ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.UNAUTHORIZED: HTTPStatus.FORBIDDEN,
    ErrorCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.CONFLICT: HTTPStatus.CONFLICT,
}
"""What the page is told: not those of a pod, since 401 would be for the page's own token, and 503 for this process."""
_Wish = TypeVar("_Wish", bound=BaseModel)
_Events = Generator[str, None, None]
_Changed = tuple[Json, tuple[str, ...]]
"""An object as it is stored now, and what should be known about that."""


class Routes:
    """Reads from the board, writes through the session."""

    def __init__(self, session: Session, board: Board, place: Mapping[str, object]) -> None:
        self._session, self._board, self._place = session, board, place

    def application(self, token: str) -> Starlette:
        """All of them, below the token."""
        routes = [
            Route("/place", self._tell_place),
            Route("/events", self._tell_states),
            Route("/details", self._tell_details),
            Route("/memory", self._tell_memory),
            Route("/scalings", self._tell_scalings),
            Route("/weight", self._scale, methods=["POST"]),
            Route("/blend", self._blend, methods=["POST"]),
            Route("/rollback", self._roll_back, methods=["POST"]),
            Route("/ask", self._ask, methods=["POST"]),
            Mount("/", StaticFiles(directory=_STATIC, html=True)),
        ]
        return Starlette(
            routes=[Mount(f"/{token}", routes=routes)],
            exception_handlers={Failed: _refused, ValidationError: _unclear},
        )

    # -- looking --------------------------------------------------------------------------------------------------

    async def _tell_place(self, _: Request) -> Response:
        return JSONResponse(self._place)

    async def _tell_states(self, _: Request) -> Response:
        return _streamed(self._states())

    async def _tell_details(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        found = (await self._now()).named(name)
        if found is None:
            raise Failed(ErrorCode.NOT_FOUND, f"there is no {name} any more")
        return JSONResponse(views.details(found, clock.now(), self._session.place))

    async def _tell_memory(self, _: Request) -> Response:
        now = await self._now()
        return JSONResponse(views.memory(now.models, now.adapters))

    async def _tell_scalings(self, request: Request) -> Response:
        name, answer_id = (request.query_params.get(key, "") for key in ("name", "id"))

        def ask() -> Json:
            kept = kept_scalings(self._session, name, answer_id)
            try:
                texts = kept.texts()
            except Failed:
                texts = {}  # their places say enough
            return {"pod": kept.pod, "generations": [views.heat(found, texts) for found in kept.generations]}

        return JSONResponse(await run_in_threadpool(ask))

    # -- changing -------------------------------------------------------------------------------------------------

    async def _scale(self, request: Request) -> Response:
        wish = await _wish(request, wishes.Weight)

        def scale() -> _Changed:
            return self._session.objects.merge(ADAPTERS, wish.name, changes.weight(wish.weight)), ()

        return await self._after(scale)

    async def _blend(self, request: Request) -> Response:
        wish = await _wish(request, wishes.Mixture)

        def blend() -> _Changed:
            recipe = changes.blend(wish.members, wish.method, wish.rank, wish.density)
            return self._session.blend(wish.name, recipe), ()

        return await self._after(blend)

    async def _roll_back(self, request: Request) -> Response:
        wish = await _wish(request, wishes.Return)

        def go_back() -> _Changed:
            adapter = self._session.adapter(wish.name)
            entry = history.chosen(adapter, wish.revision, self._session.place)
            changed = self._session.objects.patch(ADAPTERS, wish.name, history.steps_back(adapter, entry))
            return changed, tuple(history.remarks(adapter_of(changed), entry))

        return await self._after(go_back)

    async def _after(self, change: Callable[[], _Changed]) -> Response:
        began = clock.monotonic()
        changed, remarks = await run_in_threadpool(change)
        await run_in_threadpool(self._board.asked, changed, began)
        return JSONResponse({"remarks": remarks})

    # -- talking --------------------------------------------------------------------------------------------------

    async def _ask(self, request: Request) -> Response:
        return _streamed(self._answer(await _wish(request, wishes.Question)))

    def _answer(self, question: wishes.Question) -> _Events:
        asked = self._board.wait(-1, 0).adapter(question.name)
        yield _event("begin", {"revision": None if asked is None else asked.status.revision})
        began, first, reason, answer_id = clock.monotonic(), None, None, None
        how = {"max_tokens": question.max_tokens, "temperature": question.temperature}
        try:
            for piece in self._session.serving(question.name).chat(question.talk(), how):
                reason = piece.finish_reason or reason
                answer_id = piece.answer_id or answer_id
                if piece.text:
                    first = clock.monotonic() - began if first is None else first
                    yield _event("piece", {"text": piece.text})
                if self._board.closed:
                    return
        except Failed as failed:
            yield _event("failed", views.failure(failed))
            return
        yield _event("end", views.ended(reason, first, clock.monotonic() - began, answer_id))

    # -- all of them ----------------------------------------------------------------------------------------------

    def _states(self) -> _Events:
        known, number = None, -1
        while not self._board.closed:
            snapshot = self._board.wait(number, _TICK_SECONDS)
            number = snapshot.number
            state = views.state(
                snapshot.models, snapshot.adapters, snapshot.moments, snapshot.trouble, clock.now(), self._session.place
            )
            news = views.difference(known, state)
            known = state
            yield _SILENCE if news is None else _event("state", news)
            clock.sleep(_BREATH_SECONDS)

    async def _now(self) -> Snapshot:
        return await run_in_threadpool(self._board.wait, -1, 0)


async def _wish(request: Request, kind: type[_Wish]) -> _Wish:
    return kind.model_validate_json(await request.body())


def _streamed(events: _Events) -> Response:
    async def until_the_page_goes() -> AsyncIterator[str]:
        try:
            async for event in iterate_in_threadpool(events):
                yield event
        finally:
            # Ends the request to the pod, too.
            events.close()

    return StreamingResponse(until_the_page_goes(), media_type="text/event-stream")


def _event(kind: str, data: Json) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


async def _refused(_: Request, failed: Exception) -> Response:
    if not isinstance(failed, Failed):
        raise failed
    return JSONResponse(views.failure(failed), status_code=_STATUS.get(failed.code, HTTPStatus.BAD_GATEWAY))


async def _unclear(request: Request, error: Exception) -> Response:
    if not isinstance(error, ValidationError):
        raise error
    return await _refused(request, Failed(ErrorCode.INVALID, in_words(error)))
