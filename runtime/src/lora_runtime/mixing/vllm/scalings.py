"""Asks the engine for the scalings of an answer."""

import base64
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import wraps
from itertools import count
from typing import Any

from lora_runtime.engine.in_flight import InFlight
from lora_runtime.mixing.scalings import Answers, Generation
from lora_runtime.mixture.package import Names
from lora_runtime.mixture.vllm.worker import MixtureWorker

_RPC_SECONDS = 30.0


class Scalings:
    """For the server's event loop."""

    def __init__(self, client: Any, in_flight: InFlight, kept: int, names: Callable[[], Names]) -> None:
        """Stands before the client's `generate`; once.

        Args:
            client: vLLM's engine client.
            in_flight: Knows the HTTP request under way.
            kept: Of so many requests.
            names: Of what is scaled now.
        """
        self._client, self._in_flight, self._kept, self._names = client, in_flight, kept, names
        self._answers = Answers(kept)
        self._numbers = count()
        client.generate = self._noting(client.generate)

    async def begin(self) -> None:
        """Has the workers keep them, from now on."""
        await self._tell(MixtureWorker.keep_scalings, self._kept)

    async def of(self, request_id: str) -> list[dict[str, Any]]:
        """The generations of an answer, as JSON; none if it is not known."""
        found = [await self._told(generation) for generation in self._answers.of(request_id)]
        return [told for told in found if told is not None]

    async def _told(self, generation: Generation) -> dict[str, Any] | None:
        answers = await self._tell(MixtureWorker.scalings_of, generation.kept_as)
        found = next((answer for answer in answers if answer is not None), None)
        if found is None:
            return None
        rows, data = found
        names = generation.names
        width = max(1, len(names.layers)) * len(names.experts)
        known = min(rows, generation.computed)
        return {
            "promptTokens": len(generation.prompt),
            "tokens": generation.tokens[:known],
            "experts": list(names.experts),
            "layers": list(names.layers),
            "shape": [known, max(1, len(names.layers)), len(names.experts)],
            "dtype": "float16",
            "scalings": _first(data, 2 * width * known),
        }

    async def _tell(self, method: Callable[..., Any], *args: Any) -> Any:
        return await self._client.collective_rpc(method.__name__, timeout=_RPC_SECONDS, args=args)

    def _noting(self, generate: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., AsyncGenerator[Any, None]]:
        @wraps(generate)
        def wrapped(
            prompt: Any, sampling_params: Any, request_id: str, *args: Any, **kwargs: Any
        ) -> AsyncGenerator[Any, None]:
            request = self._in_flight.current
            if request is None or sampling_params.n > 1:
                # several answers to one prompt are generations of their own inside of the engine
                return generate(prompt, sampling_params, request_id, *args, **kwargs)
            # clients choose ids, and may choose one twice; workers keep by this one
            kept_as = f"{request_id}-{next(self._numbers)}"
            generation = self._answers.begin(request_id, kept_as, request, self._names())
            return _seen(generate(prompt, sampling_params, kept_as, *args, **kwargs), generation)

        return wrapped


async def _seen(outputs: AsyncGenerator[Any, None], generation: Generation) -> AsyncGenerator[Any, None]:
    async with aclosing(outputs):
        async for output in outputs:
            generation.saw(output.prompt_token_ids, [token for piece in output.outputs for token in piece.token_ids])
            yield output


def _first(data: str, size: int) -> str:
    """The first bytes of what is in base64."""
    return base64.b64encode(base64.b64decode(data)[:size]).decode()
