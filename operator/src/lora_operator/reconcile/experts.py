"""The LoRAAdapters that mixtures are made of, which belong to other LoRAModels; and whom a change of one concerns."""

from collections.abc import Mapping

from lora_operator.clients import resources
from lora_operator.clients.kube import Kube
from lora_operator.domain.observed import ModelKey, ObservedAdapter, ObservedExpert, ObservedModel
from lora_operator.reconcile import reading
from lora_operator.reconcile.lately import Lately


class Experts:
    """Reads them, and knows which models have looked at which objects."""

    def __init__(self, kube: Kube, lately: Lately) -> None:
        self._kube = kube
        self._lately = lately
        self._adapters: dict[ModelKey, frozenset[str]] = {}
        """Names of the adapters that a mixture names."""
        self._models: dict[ModelKey, frozenset[str]] = {}
        """Names of the models that serve these by themselves."""

    async def of(self, key: ModelKey, model: ObservedModel) -> Mapping[str, ObservedExpert]:
        """Those of the adapters that the model's mixture names which exist, by name.

        Raises:
            KubeError: the API server does not answer or refuses.
        """
        mixture = model.spec.mixture
        names = frozenset(ref.adapter_ref.name for ref in (mixture.experts if mixture is not None else None) or ())
        if not names:
            self.forget(key)
            return {}
        if self._adapters.get(key) != names:
            self._lately.doubt(key, resources.ADAPTERS.kind)
            # Noted before they are read: what changes from now on is heard.
            self._adapters[key] = names
        found: Mapping[str, ObservedExpert] = await self._lately.read(
            key, resources.ADAPTERS, lambda: self._read(key, names)
        )
        return found

    def forget(self, key: ModelKey) -> None:
        """The model has no such mixture, or is gone."""
        self._adapters.pop(key, None)
        self._models.pop(key, None)

    def concerned_by_adapter(self, namespace: str, name: str) -> tuple[ModelKey, ...]:
        """The models whose mixtures name the adapter, which has changed."""
        return self._concerned(self._adapters, namespace, name)

    def concerned_by_model(self, namespace: str, name: str) -> tuple[ModelKey, ...]:
        """The models whose mixtures have experts of this model, which has changed."""
        return self._concerned(self._models, namespace, name)

    def _concerned(self, named: Mapping[ModelKey, frozenset[str]], namespace: str, name: str) -> tuple[ModelKey, ...]:
        keys = tuple(key for key, names in named.items() if key.namespace == namespace and name in names)
        for key in keys:
            self._lately.doubt(key, resources.ADAPTERS.kind)
        return keys

    async def _read(self, key: ModelKey, names: frozenset[str]) -> Mapping[str, ObservedExpert]:
        adapters: dict[str, ObservedAdapter] = {}
        for name in sorted(names):
            stored = await self._kube.get(resources.ADAPTERS, key.namespace, name)
            if stored is not None and "deletionTimestamp" not in stored["metadata"]:
                adapters[name] = reading.read_adapter(stored)
        self._models[key] = frozenset(adapter.spec.model_ref.name for adapter in adapters.values())
        models: dict[str, ObservedModel | None] = {}
        for name in sorted(self._models[key]):
            stored = await self._kube.get(resources.MODELS, key.namespace, name)
            models[name] = None if stored is None else reading.read_model(stored)
        return {
            name: ObservedExpert(adapter, models[adapter.spec.model_ref.name]) for name, adapter in adapters.items()
        }
