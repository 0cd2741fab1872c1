"""The two places where vLLM's handlers look up the model that a request names."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from vllm.entrypoints.generate.base.serving import GenerateBaseServing
from vllm.entrypoints.serve.engine.serving import BaseServing

from lora_runtime.engine.in_flight import InFlight
from lora_runtime.engine.protocol import LoadFailed, NotServed
from lora_runtime.engine.vllm.composed import Compose, Composer, asks_for
from lora_runtime.engine.vllm.leases import Leases
from lora_runtime.engine.vllm.mixed_batch import MixedBatches, mapping_of
from lora_runtime.engine.vllm.refusals import not_found, unavailable
from lora_runtime.engine.vllm.served_models import ServedModels
from lora_runtime.observer import UNKNOWN


def observe_lookups(
    models: ServedModels,
    leases: Leases,
    in_flight: InFlight,
    not_ready: Callable[[str], NotServed | None],
    compose: Compose,
) -> None:
    """Hooks both; once in a process.

    Args:
        models: what is served.
        leases: given to each request that generates.
        in_flight: told which adapter each request uses.
        not_ready: for a name that is declared but not served, why; None for any other name.
        compose: has a composition served.
    """
    check_model, get_adapters = BaseServing._check_model, BaseServing._maybe_get_adapters
    batches = MixedBatches(models, leases, in_flight, not_ready)
    composer = Composer(models, in_flight, not_ready, compose)

    @wraps(check_model)
    async def _check_model(self: Any, request: Any) -> Any:
        error = await check_model(self, request)
        # To vLLM an empty name is as good as none, which means the base model; here it is an unset variable's.
        if request.model == "" or models.is_hidden(request.model):
            error = not_found(self, "", "model")
        if error is None:
            if not isinstance(self, GenerateBaseServing):
                return None
            if (said := asks_for(request)) is not None:
                if (refused := await composer.choose(self, request, said)) is not None:
                    return refused
            elif (mapping := mapping_of(request)) is not None:
                return await batches.admit(self, request, mapping)
            in_flight.asks(request.model or self.models.model_name())
            try:
                await leases.admit(request.model)
            except LoadFailed as failed:
                why = f"The adapter `{request.model}` cannot be loaded now: {failed}."
                return unavailable(self, why, reason=failed.reason)
            return None
        if (lacking := not_ready(request.model)) is not None:
            in_flight.asks(request.model)
            return unavailable(self, lacking.message, reason=lacking.reason)
        in_flight.asks(UNKNOWN)
        # vLLM names the base model alone, as if no adapter were served.
        error.error.message = models.unknown(request.model)
        return error

    @wraps(get_adapters)
    def _maybe_get_adapters(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        under_way = in_flight.current
        if under_way is not None and (chosen := under_way.chosen.get(request.model)) is not None:
            return chosen
        found = get_adapters(self, request, *args, **kwargs)
        if found is not None:
            in_flight.uses(found.lora_name)
        return found

    BaseServing._check_model, BaseServing._maybe_get_adapters = _check_model, _maybe_get_adapters
