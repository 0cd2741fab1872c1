"""The safety net: rings for every model now and then, in case an event was missed."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from lora_operator.clients import resources
from lora_operator.clients.kube import Kube, KubeError
from lora_operator.domain.observed import ModelKey

_logger = logging.getLogger(__name__)

_EVERY_SECONDS = 30.0
_SOON_SECONDS = 1.0


async def sweep_for_ever(kube: Kube, namespaces: Sequence[str], ring: Callable[[ModelKey], None]) -> None:
    """Rings for each model that exists or that an adapter names, now and every half minute."""
    while True:
        try:
            keys = await all_models(kube, namespaces)
        except KubeError as error:
            _logger.warning("the sweep did not come to its end: %s", error)
            await asyncio.sleep(_SOON_SECONDS)
            continue
        for key in keys:
            ring(key)
        await asyncio.sleep(_EVERY_SECONDS)


async def all_models(kube: Kube, namespaces: Sequence[str]) -> set[ModelKey]:
    """Every model that exists or that an adapter names, in these namespaces; in all when none is given."""
    found: set[ModelKey] = set()
    for namespace in namespaces or (None,):
        for model in (await kube.list(resources.MODELS, namespace)).items:
            found.add(ModelKey(model["metadata"]["namespace"], model["metadata"]["name"]))
        for adapter in (await kube.list(resources.ADAPTERS, namespace)).items:
            found.add(ModelKey(adapter["metadata"]["namespace"], adapter["spec"]["modelRef"]["name"]))
    return found
