"""How Kopf starts, logs in and stops."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from lora_api import labels

Stop = Callable[[], None]

_FOR_A_DAY = (2.0,) * (24 * 60 * 30)


def settings() -> kopf.OperatorSettings:
    """Kopf as a doorbell: no peering, no finalizers, no annotations, no events of its own."""
    tuned = kopf.OperatorSettings()
    # Otherwise an operator of somebody else with the peering `default` could pause this one.
    tuned.peering.standalone = True
    # We post our own Events, aggregated.
    tuned.posting.enabled = False
    tuned.posting.level = logging.ERROR
    tuned.persistence.finalizer = f"{labels.GROUP}/operator"
    tuned.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=labels.GROUP)
    tuned.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=labels.GROUP)
    tuned.watching.chunk_size = 500
    tuned.watching.label_selectors["pods"] = f"{labels.MANAGED_BY_LABEL}={labels.MANAGED_BY}"
    tuned.networking.request_timeout = 30
    # Kopf would give up, and end the operator, when the API server is away for a minute.
    tuned.networking.error_backoffs = (1, 1, *_FOR_A_DAY)
    # Kinds and namespaces are known; scanning for them would need rights on all CRDs and namespaces.
    tuned.scanning.disabled = True
    return tuned


def register(
    registry: kopf.OperatorRegistry,
    log_in: Callable[[], Awaitable[kopf.ConnectionInfo]],
    stop: Stop,
) -> None:
    """Adds the login, and `stop`, which ends what would otherwise hold up the end of the process."""

    @kopf.on.login(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await log_in()

    @kopf.on.cleanup(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def cleanup(**_: Any) -> None:
        stop()
