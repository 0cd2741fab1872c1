"""What the engine's LoRA tensors take, as its workers see it. Imports nothing of vLLM: it is what a worker has that it reads."""

from collections.abc import Iterator
from typing import Any

import torch


class LoRAMemory:
    """The worker's side of `VllmEngine.memory`."""

    model_runner: Any

    def lora_runtime_memory(self) -> dict[str, Any]:
        """Bytes in the host cache by adapter id, ids that have a slot, and bytes of all slots."""
        # None until the model is loaded, and of another shape in another vLLM: then the engine does not start.
        manager = self.model_runner.lora_manager._adapter_manager
        return {
            # Pairs: the answer goes over a wire whose maps have words for keys.
            "host": [
                [lora_id, sum(_bytes(layer.lora_a) + _bytes(layer.lora_b) for layer in adapter.loras.values())]
                for lora_id, adapter in manager._registered_adapters.cache.items()
            ],
            "resident": [lora_id for lora_id in manager.lora_index_to_id if lora_id is not None],
            "slots": slots_bytes(manager.modules.values()),
        }


def slots_bytes(modules: Any) -> int:
    """Device memory of the slots of these wrapped modules.

    By storage, as some modules hold views of their own tensors beside them, and some are wrapped twice.
    """
    storages: dict[int, int] = {}
    for module in modules:
        for name, value in vars(module).items():
            if "lora_a_stacked" in name or "lora_b_stacked" in name:
                for tensor in _tensors(value):
                    storage = tensor.untyped_storage()
                    storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def _bytes(value: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(value))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in what vLLM keeps per module: one, or several for a packed one, with None in the gaps."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
