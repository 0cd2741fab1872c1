"""The names that vLLM's server answers for."""

from typing import Any

from vllm.entrypoints.openai.models.serving import OpenAIServingModels
from vllm.entrypoints.serve.engine.protocol import ModelCard
from vllm.lora.request import LoRARequest

from lora_runtime.composing import MARK
from lora_runtime.engine.protocol import LoadedAdapter
from lora_runtime.engine.vllm import names

_NAMED = 20
"""So many names are listed to who asked for one that does not exist."""


class ServedModels:
    """vLLM's table of models, through which clients see served names only. For the server's event loop."""

    def __init__(self, models: OpenAIServingModels) -> None:
        """Replaces how the table speaks of adapters; once."""
        self._models = models
        models.model_name = self.name_of
        models.show_available_models = self._show_available_models

    @property
    def base(self) -> str:
        """What clients call the plain base model."""
        return str(self._models.base_model_paths[0].name)

    def is_base(self, name: str) -> bool:
        """Whether clients call the plain base model so."""
        return any(path.name == name for path in self._models.base_model_paths)

    def name_of(self, lora_request: LoRARequest | None = None) -> str:
        """What clients call an adapter; the base model for None."""
        return self.base if lora_request is None else names.served_name(lora_request)

    def next_id(self) -> int:
        """An id that no adapter of this process had before."""
        return int(self._models.lora_id_counter.inc(1))

    def adapter(self, name: str) -> LoRARequest | None:
        """What answers for a served name now."""
        return None if self.is_hidden(name) else self._models.lora_requests.get(name)

    def composed(self, hidden_name: str) -> LoRARequest | None:
        """A composition, while it is there."""
        return self._models.lora_requests.get(hidden_name)

    def is_hidden(self, name: str | None) -> bool:
        """Whether it is the name of a composition, which clients do not ask for."""
        return name is not None and MARK in name and not self.is_base(name)

    def publish(self, adapter: LoadedAdapter) -> None:
        """Makes new requests use it."""
        # One store in one dict on the loop that admits requests: this is the switch.
        self._models.lora_requests[adapter.served_name] = names.lora_request(adapter)

    def withdraw(self, served_name: str) -> None:
        """Makes the name unknown."""
        self._models.lora_requests.pop(served_name, None)

    def unknown(self, name: str, kind: str = "model") -> str:
        """What is said to who asked for a name that does not exist: the first of those that do."""
        found = [path.name for path in self._models.base_model_paths] + self._names()
        more = f" and {len(found) - _NAMED} more, see /v1/models" if len(found) > _NAMED else ""
        return f"The {kind} `{name}` does not exist. Served here: {', '.join(found[:_NAMED])}{more}."

    async def _show_available_models(self) -> Any:
        """The `/v1/models` list with served names, and without paths of files."""
        shown = await self._models.registry.show_available_models()
        for card in shown.data:
            card.root = card.id
        shown.data.extend(ModelCard(id=name, root=name, parent=self.base) for name in self._names())
        return shown

    def _names(self) -> list[str]:
        return sorted(name for name in self._models.lora_requests if not self.is_hidden(name))
