"""What the kubelet asks: does the operator still get its work done?"""

from typing import Any

import kopf

from lora_operator.reconcile.doorbell import Doorbell

_TOO_LONG_SECONDS = 300.0
"""Every step of a pass has a timeout; one that takes longer than all of them together is stuck."""


def register(registry: kopf.OperatorRegistry, bell: Doorbell) -> None:
    """Adds the liveness probe to the registry."""

    @kopf.on.probe(id="oldest_wait_seconds", registry=registry)
    async def oldest_wait_seconds(**_: Any) -> float:
        waited = bell.oldest_wait_seconds
        if waited > _TOO_LONG_SECONDS:
            # Any other error would be retried inside the request, which would hang.
            raise kopf.PermanentError(f"a LoRAModel has been waiting for {waited:.0f} s; the operator is stuck")
        return round(waited, 3)
