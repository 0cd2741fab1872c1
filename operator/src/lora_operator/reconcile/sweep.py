"""The safety net: rings for every model now and then, in case an event was missed."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from lora_operator.clients import resources
from lora_operator.clients.kube import Kube, KubeError
from lora_operator.domain.observed import ModelKey
from lora_operator.reconcile import reading
from lora_operator.reconcile.adapters import Adapters

_logger = logging.getLogger(__name__)

_EVERY_SECONDS = 300.0
_GLANCE_SECONDS = 30.0
_SETTLE_SECONDS = 2.0
_SOON_SECONDS = 1.0
_SURE_SECONDS = 10.0
_SURER = 3.0
"""Kopf's watches may be back later than the one that noticed the cut. What was deleted before that is told by none of them,
and a list that they begin with says nothing when it is empty: so the next sweeps come soon, each after a longer rest."""


async def sweep_for_ever(
    kube: Kube, namespaces: Sequence[str], adapters: Adapters, ring: Callable[[ModelKey], None]
) -> None:
    """Rings for each model that exists or that an adapter names: now, every five minutes, and sooner when a watch began anew."""
    rest = _EVERY_SECONDS
    while True:
        adapters.in_doubt.clear()
        try:
            keys = await all_models(kube, namespaces, adapters)
        except KubeError as error:
            _logger.warning("the sweep did not come to its end: %s", error)
            await asyncio.sleep(_SOON_SECONDS)
            continue
        for key in keys:
            ring(key)
        doubted = await _rest_until_doubted(kube, namespaces, adapters, ring, rest)
        rest = _SURE_SECONDS if doubted else min(_SURER * rest, _EVERY_SECONDS)


async def _rest_until_doubted(
    kube: Kube, namespaces: Sequence[str], adapters: Adapters, ring: Callable[[ModelKey], None], rest: float
) -> bool:
    """Waits for the next sweep; True when something may be left over, before `rest` seconds are over.

    Now and then models are rung for that nobody has heeded, as when Kopf failed at an event.
    """
    while rest > 0:
        try:
            async with asyncio.timeout(min(rest, _GLANCE_SECONDS)):
                await adapters.in_doubt.wait()
        except TimeoutError:
            rest -= _GLANCE_SECONDS
            with contextlib.suppress(KubeError):
                await _glance(kube, namespaces, ring)
        else:
            # The list that the watch begins with is still coming in.
            await asyncio.sleep(_SETTLE_SECONDS)
            return True
    return False


async def _glance(kube: Kube, namespaces: Sequence[str], ring: Callable[[ModelKey], None]) -> None:
    for namespace in namespaces or (None,):
        for model in (await kube.list(resources.MODELS, namespace)).items:
            metadata = model["metadata"]
            if (model.get("status") or {}).get("observedGeneration", 0) < metadata["generation"]:
                ring(ModelKey(metadata["namespace"], metadata["name"]))


async def all_models(kube: Kube, namespaces: Sequence[str], adapters: Adapters) -> set[ModelKey]:
    """Every model that exists or that an adapter names, in these namespaces; in all when none is given.

    What is known of adapters is held against what there is.
    """
    found: set[ModelKey] = set()
    for namespace in namespaces or (None,):
        for model in (await kube.list(resources.MODELS, namespace)).items:
            found.add(ModelKey(model["metadata"]["namespace"], model["metadata"]["name"]))
        newest = adapters.newest
        listing = await kube.list(resources.ADAPTERS, namespace)
        for adapter in listing.items:
            found.add(reading.model_of(adapter))
        found |= adapters.hold_against(listing, namespace, newest)
    return found
