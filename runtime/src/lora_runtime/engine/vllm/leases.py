"""Every generation of a client goes into the engine with a lease."""

from collections.abc import Callable, Mapping
from typing import Any

from vllm.lora.request import LoRARequest

from lora_runtime.engine.in_flight import InFlight
from lora_runtime.engine.protocol import LoadedAdapter
from lora_runtime.engine.tiers import Lease, Tiers
from lora_runtime.engine.vllm import names
from lora_runtime.engine.vllm.served_models import ServedModels


class Leases:
    """Stands between vLLM's handlers and its engine. For the server's event loop."""

    def __init__(
        self,
        client: Any,
        models: ServedModels,
        known: Mapping[str, LoadedAdapter],
        in_flight: InFlight,
        tiers: Tiers,
    ) -> None:
        """Puts itself before the client's `add_request`; once.

        Args:
            client: vLLM's engine client.
            models: what served names mean.
            known: every adapter that may be asked for, by engine name.
            in_flight: knows the HTTP request under way.
            tiers: gives the leases.
        """
        self._models, self._known, self._in_flight, self._tiers = models, known, in_flight, tiers
        self._enqueue = client.add_request
        client.add_request = self._add_request

    async def admit(self, model: str) -> None:
        """Waits until the HTTP request under way may generate with a served name, whose adapter is then loaded.

        The name means the same adapter from now on to the end of the request.

        Raises:
            LoadFailed: its adapter cannot be loaded now.
        """
        request = self._in_flight.current
        if request is None or request.admitted is not None:
            return
        request.admitted = await self._enter(self.choose(model))
        request.leases.append(request.admitted)

    def choose(self, model: str) -> LoRARequest | None:
        """What a served name means for the HTTP request under way, now and to its end; None for the base model."""
        request = self._in_flight.current
        chosen = None if request is None else request.chosen.get(model)
        if chosen is None:
            chosen = self._models.adapter(model)
        if request is not None and chosen is not None:
            self._in_flight.uses(chosen.lora_name)
            request.chosen[model] = chosen
        return chosen

    def give_back(self) -> None:
        """Gives up what the HTTP request under way was admitted for."""
        request = self._in_flight.current
        if request is not None and request.admitted is not None:
            request.admitted.release()
            request.admitted = None

    async def _enter(self, lora_request: LoRARequest | None) -> Lease:
        if lora_request is None:
            return await self._tiers.enter(self._models.base, None)
        adapter = self._known[lora_request.lora_name]
        # Compositions share the turns of the name that they were asked of.
        return await self._tiers.enter(names.served_name(lora_request), adapter)

    async def _add_request(self, *args: Any, lora_request: LoRARequest | None = None, **kwargs: Any) -> Any:
        """Stands before AsyncLLM.add_request: each generation of a client takes a lease until the engine is done."""
        request = self._in_flight.current
        if request is None:
            return await self._enqueue(*args, lora_request=lora_request, **kwargs)
        wanted = None if lora_request is None else lora_request.lora_name
        lease = request.admitted
        if lease is not None and lease.adapter == wanted:
            request.admitted = None
        else:
            lease = await self._enter(lora_request)
            request.leases.append(lease)
        collector = await self._enqueue(*args, lora_request=lora_request, **kwargs)
        collector.put = _releasing(collector.put, lease)
        return collector


def _releasing(put: Callable[[Any], None], lease: Lease) -> Callable[[Any], None]:
    """The engine's way to hand over outputs, which ends the lease with the last, however slowly a client reads."""

    def wrapped(output: Any) -> None:
        put(output)
        if isinstance(output, Exception) or output.finished:
            lease.release()

    return wrapped
