"""The Lease that says which operator works."""

import asyncio
import contextlib
from typing import Any

from lora_api import labels
from lora_operator.clients import resources
from lora_operator.clients.kube import NOT_THERE, Kube, KubeError
from lora_operator.domain.leadership import Lease


class Leases:
    """One Lease. It is written only over what was read or written here last."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._version = NOT_THERE

    async def read(self) -> Lease | None:
        """What it says now; None when there is none.

        Raises:
            KubeError: the API server is away.
        """
        stored = await self._kube.get(resources.LEASES, self._namespace, self._name)
        self._version = NOT_THERE if stored is None else stored["metadata"]["resourceVersion"]
        return None if stored is None else _read(stored.get("spec") or {})

    async def changed(self, seconds: float) -> None:
        """Returns once it is no longer as it was read, or after a while.

        Raises:
            KubeError: that cannot be found out.
        """
        name = f"metadata.name={self._name}"
        # From now on, and not from the version that was read: an API server that was restarted remembers none so old.
        events = self._kube.watch(
            resources.LEASES, self._namespace, fields=name, after=None, seconds=seconds, metadata_only=True
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), contextlib.aclosing(events):
                async for event in events:
                    # The first event tells what is there.
                    if event["type"] != "BOOKMARK" and event["object"]["metadata"]["resourceVersion"] != self._version:
                        return

    async def write(self, lease: Lease, seconds: float) -> None:
        """Stores it.

        Raises:
            KubeError: somebody was faster (409), or the API server did not answer within these seconds.
        """
        manifest = {
            "apiVersion": resources.LEASES.api_version,
            "kind": resources.LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace, "resourceVersion": self._version},
            "spec": {
                "holderIdentity": lease.holder,
                "leaseDurationSeconds": round(lease.seconds),
                "renewTime": lease.renewed,
                "acquireTime": lease.acquired,
                "leaseTransitions": lease.transitions,
            },
        }
        try:
            async with asyncio.timeout(seconds):
                stored = await self._kube.apply(resources.LEASES, manifest, field_manager=labels.FIELD_MANAGER)
        except TimeoutError as error:
            raise KubeError(0, f"no answer from the API server within {seconds:.1f} s") from error
        self._version = stored["metadata"]["resourceVersion"]


def _read(spec: dict[str, Any]) -> Lease:
    return Lease(
        holder=spec.get("holderIdentity") or "",
        seconds=spec.get("leaseDurationSeconds") or 0,
        renewed=spec.get("renewTime") or "",
        transitions=spec.get("leaseTransitions") or 0,
        acquired=spec.get("acquireTime") or "",
    )
