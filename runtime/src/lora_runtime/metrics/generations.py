"""Counts what vLLM generates for clients: stands around the engine client's `generate`, which all handlers call.

Knows the shape of vLLM's RequestOutput, and imports nothing of it.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import wraps
from typing import Any

from lora_runtime.engine.in_flight import HttpRequest, InFlight
from lora_runtime.metrics.traffic import AdapterTraffic, Traffic
from lora_runtime.observer import Outcome

Generate = Callable[..., AsyncGenerator[Any, None]]

_FAILED, _ABORTED = "error", "abort"
"""Reasons of vLLM for the end of a generation that was not brought to its end."""


def observed(
    generate: Generate,
    in_flight: InFlight,
    traffic: Traffic,
    served_name: Callable[[Any], str],
    clock: Callable[[], float],
) -> Generate:
    """The same `generate`, counted by adapter.

    Only generations that an HTTP request asks for: the runtime's own warm-ups are nobody's traffic.

    Args:
        generate: of vLLM's engine client.
        in_flight: knows the HTTP request under way.
        traffic: told what was generated, and when.
        served_name: of a LoRARequest; of the base model for None.
        clock: monotonic time in seconds.
    """

    @wraps(generate)
    def wrapped(*args: Any, lora_request: Any = None, **kwargs: Any) -> AsyncGenerator[Any, None]:
        outputs = generate(*args, lora_request=lora_request, **kwargs)
        request = in_flight.current
        if request is None:
            return outputs
        return _counted(outputs, _Generation(request, traffic.of(served_name(lora_request)), clock))

    return wrapped


async def _counted(outputs: AsyncGenerator[Any, None], generation: "_Generation") -> AsyncGenerator[Any, None]:
    # Closed with this one, however it ends: that is how vLLM learns that a client has left.
    async with aclosing(outputs):
        try:
            async for output in outputs:
                generation.saw(output)
                yield output
        except Exception:
            generation.ended(Outcome.FAILED)
            raise
        finally:
            # A cancellation, or a consumer that left: what has not ended by now was aborted.
            generation.ended(Outcome.ABORTED)


class _Generation:
    """One call of `generate`, seen from its consumer's side."""

    __slots__ = ("_began", "_clock", "_ended", "_last", "_request", "_traffic")

    def __init__(self, request: HttpRequest, traffic: AdapterTraffic, clock: Callable[[], float]) -> None:
        self._request = request
        self._traffic = traffic
        self._clock = clock
        # The first generation of a request began when the request came: it may have waited for its adapter since.
        self._began, request.began = request.began or clock(), None
        self._last: dict[int, float] = {}
        """When each of the answers, by its index, last went on."""
        self._ended = False

    def saw(self, output: Any) -> None:
        """Counts one output: a piece of a stream, or all of an answer at once; handlers ask for nothing in between."""
        now = self._clock()
        if not self._last:
            self._traffic.prompt_tokens.inc(len(output.prompt_token_ids or ()))
            if (since := _since_first_token(output)) is not None:
                self._traffic.first_token.observe(now - since - self._began)
        for piece in output.outputs:
            tokens = len(piece.token_ids)
            if tokens and (last := self._last.get(piece.index)) is not None:
                self._traffic.gap.observe(now - last)
            self._last[piece.index] = now
            self._traffic.generation_tokens.inc(tokens)
        if output.finished:
            reasons = {piece.finish_reason for piece in output.outputs}
            self.ended(Outcome.FAILED if _FAILED in reasons else Outcome.ABORTED if _ABORTED in reasons else Outcome.OK)

    def ended(self, outcome: Outcome) -> None:
        """The first end counts: nothing that a consumer does after the last output changes it."""
        if self._ended:
            return
        self._ended = True
        if outcome is not Outcome.OK and self._request.outcome is not Outcome.FAILED:
            self._request.outcome = outcome


def _since_first_token(output: Any) -> float | None:
    """Seconds between an answer's first token and this output; None if vLLM was told not to keep times."""
    if not output.finished:
        # A stream's first piece is its first token.
        return 0.0
    times = output.metrics
    return None if times is None else float(times.last_token_ts - times.first_token_ts)
