"""Requests with `lora: {weight}` or `lora: {blend}`: answered by what is composed for them."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from lora_api.error_codes import OPENAI_TYPE, ErrorCode
from lora_api.wrong_values import in_words
from lora_runtime.composing import NotComposed, Problem, Wish
from lora_runtime.engine.in_flight import InFlight
from lora_runtime.engine.protocol import NotServed
from lora_runtime.engine.vllm.mixed_batch import mapping_of
from lora_runtime.engine.vllm.refusals import not_found, refused, unavailable
from lora_runtime.engine.vllm.served_models import ServedModels
from lora_runtime.fields import COMPOSITION as FIELD

Compose = Callable[[str, Wish], Awaitable[str]]
"""See Service.compose."""

_TRIES = 2
"""What was composed may be gone again before it is taken."""
_STATUS = {
    Problem.OFF: (HTTPStatus.BAD_REQUEST, OPENAI_TYPE[ErrorCode.INVALID]),
    Problem.NOT_SERVED: (HTTPStatus.NOT_FOUND, OPENAI_TYPE[ErrorCode.NOT_FOUND]),
    Problem.QUOTA: (HTTPStatus.TOO_MANY_REQUESTS, "RateLimitError"),
    Problem.NOT_NOW: (HTTPStatus.SERVICE_UNAVAILABLE, OPENAI_TYPE[ErrorCode.NOT_READY]),
}


def asks_for(request: Any) -> Any:
    """What a request says beside OpenAI's fields; None if it composes nothing."""
    return (getattr(request, "model_extra", None) or {}).get(FIELD)


class Composer:
    """Has compositions made for requests. For the server's event loop."""

    def __init__(
        self, models: ServedModels, in_flight: InFlight, not_ready: Callable[[str], NotServed | None], compose: Compose
    ) -> None:
        """See observe_lookups."""
        self._models, self._in_flight, self._not_ready, self._compose = models, in_flight, not_ready, compose

    async def choose(self, serving: Any, request: Any, said: Any) -> Any:
        """Has the request under way answered by what it asks for.

        Returns:
            The error that it is answered with; None if there is none.
        """
        model = request.model or self._models.base
        self._in_flight.asks(model)
        try:
            wish = Wish.model_validate(said)
        except ValidationError as error:
            return serving.create_error_response(message=in_words(error, FIELD), param=FIELD)
        if (wrong := self._misused(model, wish, request)) is not None:
            return serving.create_error_response(message=wrong, param=FIELD)
        if (missing := self._missing(serving, wish)) is not None:
            return missing
        try:
            for _ in range(_TRIES):
                found = self._models.composed(await self._compose(model, wish))
                if found is not None:
                    break
        except NotComposed as error:
            if error.reason is not None:
                return refused(serving, f"{FIELD}: {error}", FIELD, error.reason)
            status, kind = _STATUS[error.problem]
            return serving.create_error_response(
                message=f"{FIELD}: {error}", err_type=kind, status_code=status, param=FIELD
            )
        if found is None:
            return unavailable(serving, f"{FIELD}: what was composed had to go again; ask again later", FIELD)
        if (under_way := self._in_flight.current) is not None:
            under_way.chosen[request.model] = found
            self._in_flight.uses(found.lora_name)
        return None

    def _misused(self, model: str, wish: Wish, request: Any) -> str | None:
        if mapping_of(request) is not None:
            return f"{FIELD} cannot be combined with prompt_to_adapter_mapping"
        if (wish.blend is not None) is not self._models.is_base(model):
            return (
                f"{FIELD}.weight scales an adapter, whose name goes into `model`; {FIELD}.blend adds adapters to the base "
                f"model: `model` is then {self._models.base}"
            )
        return None

    def _missing(self, serving: Any, wish: Wish) -> Any:
        for index, member in enumerate(wish.blend or ()):
            if self._models.adapter(member.name) is None:
                where = f"{FIELD}.blend[{index}].name"
                if (why := self._not_ready(member.name)) is not None:
                    return unavailable(serving, f"{where}: {why}", FIELD, why.reason)
                return not_found(serving, f"{where}: {self._models.unknown(member.name, 'adapter')}", FIELD)
        return None
