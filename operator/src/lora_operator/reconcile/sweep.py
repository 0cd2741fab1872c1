"""The safety net: rings for every model now and then, in case an event was missed."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from lora_operator.clients import resources
from lora_operator.clients.kube import Kube, KubeError
from lora_operator.domain.observed import ModelKey

_logger = logging.getLogger(__name__)

_EVERY_SECONDS = 30.0
"""Children other than pods are not watched: a Service that somebody deletes is back after this long at most."""


async def sweep_for_ever(kube: Kube, namespaces: Sequence[str], ring: Callable[[ModelKey], None]) -> None:
    """Rings for each model that exists or that an adapter names, every half minute."""
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        try:
            keys = await all_models(kube, namespaces)
        except KubeError as error:
            _logger.warning("the sweep is left out this time: %s", error)
            continue
        for key in keys:
            ring(key)


async def all_models(kube: Kube, namespaces: Sequence[str]) -> set[ModelKey]:
    """Every model that exists or that an adapter names, in these namespaces; in all when none is given."""
    found: set[ModelKey] = set()
    for namespace in namespaces or (None,):
        for model in (await kube.list(resources.MODELS, namespace)).items:
            found.add(ModelKey(model["metadata"]["namespace"], model["metadata"]["name"]))
        for adapter in (await kube.list(resources.ADAPTERS, namespace)).items:
            found.add(ModelKey(adapter["metadata"]["namespace"], adapter["spec"]["modelRef"]["name"]))
    return found
