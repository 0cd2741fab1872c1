"""One call of `/v1/completions` whose prompts are for several served names.

vLLM's handler does everything as for a call with many prompts: each becomes a generation of its own, in one engine
batch. Only which adapter each of them gets is decided here.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from vllm.entrypoints.openai.completion.protocol import CompletionRequest

from lora_runtime.engine.in_flight import InFlight
from lora_runtime.engine.protocol import LoadFailed, NotServed
from lora_runtime.engine.vllm.leases import Leases
from lora_runtime.engine.vllm.refusals import not_found, unavailable
from lora_runtime.engine.vllm.served_models import ServedModels
from lora_runtime.fields import MAPPING as FIELD
from lora_runtime.observer import UNKNOWN

BASE = "base"
"""Stands for the base model, unless an adapter is served under that name."""


def mapping_of(request: Any) -> Any:
    """What a request says beside OpenAI's fields; None if it says nothing of adapters."""
    return (getattr(request, "model_extra", None) or {}).get(FIELD)


class MixedBatches:
    """Admits such calls. For the server's event loop."""

    def __init__(
        self, models: ServedModels, leases: Leases, in_flight: InFlight, not_ready: Callable[[str], NotServed | None]
    ) -> None:
        """See observe_lookups."""
        self._models, self._leases, self._in_flight, self._not_ready = models, leases, in_flight, not_ready

    async def admit(self, serving: Any, request: Any, mapping: Any) -> Any:
        """Decides what each prompt is for, and makes sure of all adapters before the first prompt runs.

        Returns:
            The error that the whole call is answered with; None if there is none.
        """
        if (wrong := _misused(request, mapping)) is not None:
            return serving.create_error_response(message=wrong, param=FIELD)
        names = [self._meant(name) for name in mapping]
        lacking = [
            (index, name, self._not_ready(name)) for index, name in enumerate(names) if not self._is_served(name)
        ]
        for index, name, why in lacking:
            if why is None:
                self._in_flight.asks(UNKNOWN)
                message = f"{FIELD}[{index}]: {self._models.unknown(name)}"
                return not_found(serving, message, FIELD)
        self._in_flight.asks(*names)
        for index, _, why in lacking:
            assert why is not None  # noqa: S101  (see above)
            return unavailable(serving, f"{FIELD}[{index}]: {why}", FIELD, why.reason)
        # All at once: a name that goes while others are loaded is still answered for.
        chosen = tuple(self._leases.choose(name) for name in names)
        # One after another, and none is held while the next is waited for: two calls that hold what the other wants would
        # wait for ever. The first prompt's comes last, and is kept for it.
        for name in reversed(dict.fromkeys(names)):
            self._leases.give_back()
            try:
                await self._leases.admit(name)
            except LoadFailed as failed:
                words = f"{FIELD}[{names.index(name)}]: The adapter `{name}` cannot be loaded now: {failed}."
                return unavailable(serving, words, FIELD, failed.reason)
        if (under_way := self._in_flight.current) is not None:
            under_way.by_prompt = chosen
        return None

    def _meant(self, name: str) -> str:
        if name == BASE and self._models.adapter(BASE) is None and self._not_ready(BASE) is None:
            return self._models.base
        return name

    def _is_served(self, name: str) -> bool:
        return self._models.is_base(name) or self._models.adapter(name) is not None


def give_each_prompt_its_adapter(client: Any, in_flight: InFlight) -> None:
    """Stands before `generate` of the engine client, which vLLM's handler calls for each prompt; once.

    Outside of what counts generations: they are counted for the names that they are for.
    """
    generate = client.generate

    @wraps(generate)
    def wrapped(*args: Any, lora_request: Any = None, **kwargs: Any) -> Any:
        request = in_flight.current
        if request is not None and request.by_prompt:
            # The handler of completions passes the prompt, its parameters and an id, which ends with the prompt's number.
            _, _, request_id = args
            lora_request = request.by_prompt[int(request_id.rpartition("-")[2])]
        return generate(*args, lora_request=lora_request, **kwargs)

    client.generate = wrapped


def _misused(request: Any, mapping: Any) -> str | None:
    """Why a call cannot be answered whatever is served."""
    if not isinstance(request, CompletionRequest):
        return f"{FIELD} is for /v1/completions, whose `prompt` can be a list; send one call for each conversation"
    if not isinstance(mapping, list) or not all(isinstance(name, str) and name for name in mapping):
        return f"{FIELD} must be a list of names, one for each prompt: those in /v1/models, or `{BASE}`"
    for option in ("prompt_embeds", "use_beam_search"):
        if getattr(request, option):
            return f"{FIELD} cannot be combined with {option}"
    count = _count(request.prompt)
    if len(mapping) != count:
        return f"{FIELD} has {len(mapping)} names for {count} prompts; give one for each"
    return None


def _count(prompt: str | Sequence[Any] | None) -> int:
    """How many prompts there are: one may be a text, or a list of tokens."""
    if prompt is None or isinstance(prompt, str):
        return 0 if prompt is None else 1
    return 1 if prompt and isinstance(prompt[0], int) else len(prompt)
