"""The place where vLLM's handlers look up the model that a request names: here it may be the mixture alone."""

from functools import wraps
from typing import Any

from vllm.entrypoints.generate.base.serving import GenerateBaseServing
from vllm.entrypoints.serve.engine.serving import BaseServing

from lora_runtime import fields
from lora_runtime.engine.in_flight import InFlight
from lora_runtime.engine.vllm import composed, mixed_batch
from lora_runtime.engine.vllm.refusals import not_found
from lora_runtime.engine.vllm.served_models import ServedModels
from lora_runtime.mixing.gate import Gate
from lora_runtime.observer import UNKNOWN

_FIELDS = {fields.COMPOSITION: composed.asks_for, fields.MAPPING: mixed_batch.mapping_of}
"""What requests may say of adapters beside OpenAI's fields."""


def observe_lookups(models: ServedModels, gate: Gate, in_flight: InFlight) -> None:
    """Hooks it; once in a process.

    Args:
        models: what is served.
        gate: lets requests in that generate.
        in_flight: told what each request asks for.
    """
    check_model = BaseServing._check_model

    @wraps(check_model)
    async def _check_model(self: Any, request: Any) -> Any:
        error = await check_model(self, request)
        # To vLLM an empty name is as good as none, which means the base model; here it is an unset variable's.
        if request.model == "":
            error = not_found(self, "", "model")
        if error is not None:
            in_flight.asks(UNKNOWN)
            error.error.message = models.unknown(request.model)
            return error
        if not isinstance(self, GenerateBaseServing):
            return None
        in_flight.asks(request.model or models.base)
        for name, said in _FIELDS.items():
            if said(request) is not None:
                why = f"{name} is for adapters, and this model is a mixture of experts that has none beside it; leave it out"
                return self.create_error_response(message=why, param=name)
        await gate.enter()
        return None

    BaseServing._check_model = _check_model
