"""An API server that takes everything, writes it down, and refuses what it is told to refuse."""

from collections.abc import Callable
from typing import Any

from lora_operator.clients.kube import Kube, KubeError, Manifest, Resource


class RecordingKube(Kube):
    """In place of a connection: what was sent, in order."""

    def __init__(self, refuses: Callable[[Manifest], int | None] = lambda manifest: None) -> None:
        """Takes a rule that gives the HTTP status of a refusal, or None."""
        self._refuses = refuses
        self.sent: list[Manifest] = []

    @property
    def kinds(self) -> list[str]:
        """What kinds of objects were stored, in order."""
        return [manifest["kind"] for manifest in self.sent]

    async def apply(
        self,
        resource: Resource,
        manifest: Manifest,
        *,
        field_manager: str,
        subresource: str | None = None,
        metadata_only: bool = False,
    ) -> dict[str, Any]:
        self._store(manifest)
        metadata = dict(manifest["metadata"]) | {"uid": "stored", "resourceVersion": "7", "generation": 1}
        return {"metadata": metadata, "status": manifest.get("status") or {}}

    async def merge(
        self, resource: Resource, namespace: str, name: str, patch: Manifest, *, subresource: str | None = None
    ) -> dict[str, Any]:
        self._store({"kind": resource.kind, **patch})
        return {"metadata": {"uid": "stored", "resourceVersion": "6", "generation": 1}}

    async def create(self, resource: Resource, manifest: Manifest) -> bool:
        self._store(manifest)
        return True

    def _store(self, manifest: Manifest) -> None:
        status = self._refuses(manifest)
        if status is not None:
            raise KubeError(status, f"{manifest['kind']} refused")
        self.sent.append(manifest)
