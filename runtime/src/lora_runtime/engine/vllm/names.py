"""What vLLM calls an adapter, and what clients call it."""

from vllm.lora.request import LoRARequest

from lora_runtime.composing import MARK
from lora_runtime.engine.protocol import LoadedAdapter

SEPARATOR = "@"
"""Between served name and revision in an engine name; no served name may contain it."""


def engine_name(served_name: str, revision: str, lora_id: int) -> str:
    """A name that was never used before: ids are not given out twice."""
    return f"{served_name}{SEPARATOR}{revision}.{lora_id}"


def served_name(lora_request: LoRARequest) -> str:
    """The name that clients ask for, also when it is something composed for them that answers."""
    return str(lora_request.lora_name.partition(SEPARATOR)[0].partition(MARK)[0])


def lora_request(adapter: LoadedAdapter) -> LoRARequest:
    """The adapter as vLLM's handlers and engine pass it around."""
    return LoRARequest(lora_name=adapter.engine_name, lora_int_id=adapter.lora_id, lora_path=str(adapter.path))
