"""The LoRAModel: edits of it, and attacks on its document."""

from dataclasses import dataclass, field
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from chaos.steps import Kind, Step
from chaos.user import ignoring, persistently
from lora_api import labels
from lora_operator.domain import render

_KEPT = 5
"""So many earlier documents are remembered."""

Json = dict[str, Any]


@dataclass(slots=True)
class ModelUser:
    """Who owns the LoRAModel, and somebody who should not have touched its ConfigMap."""

    api: client.ApiClient
    namespace: str
    manifest: Json
    uid: str = ""
    _documents: list[dict[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the model."""
        return str(self.manifest["metadata"]["name"])

    @property
    def replicas(self) -> int:
        """Pods that it wants."""
        return int(self.manifest["spec"].get("replicas", 1))

    def create(self) -> None:
        """Makes it."""
        stored = persistently(self._create)
        self.uid = stored["metadata"]["uid"]

    def do(self, step: Step) -> None:
        """An edit, or an attack."""
        match step.kind:
            case Kind.SCALE:
                self._edit({"replicas": step.number})
            case Kind.ROLL:
                self._edit({"adapters": {**self.manifest["spec"].get("adapters", {}), "maxRank": step.number}})
            case Kind.RECREATE_MODEL:
                persistently(lambda: ignoring(404, lambda: self._custom("delete", self.name)))
                self._documents.clear()
                self.create()
            case Kind.DELETE_DOCUMENT:
                core, name = client.CoreV1Api(self.api), render.desired_config_map(self.name)
                persistently(lambda: ignoring(404, lambda: core.delete_namespaced_config_map(name, self.namespace)))
            case Kind.RESTORE_DOCUMENT:
                self._restore()
            case _:
                raise ValueError(f"{step.kind} is not about the model")

    def remember_document(self) -> None:
        """Keeps what the ConfigMap holds now: somebody may restore it later."""
        core, name = client.CoreV1Api(self.api), render.desired_config_map(self.name)
        found = persistently(lambda: ignoring(404, lambda: core.read_namespaced_config_map(name, self.namespace)))
        if found and found.binary_data:
            self._documents = [*self._documents, dict(found.binary_data)][-_KEPT:]

    def _restore(self) -> None:
        if not self._documents:
            return
        core, name = client.CoreV1Api(self.api), render.desired_config_map(self.name)
        body = {"binaryData": self._documents[0]}
        persistently(lambda: ignoring(404, lambda: core.patch_namespaced_config_map(name, self.namespace, body)))

    def _edit(self, spec: Json) -> None:
        self.manifest["spec"] |= spec
        persistently(lambda: self._custom("patch", self.name, {"spec": spec}))

    def _create(self) -> Json:
        try:
            return self._custom("create", self.manifest)
        except ApiException as error:
            # Its answer may have been lost with the API server.
            if error.status != 409:
                raise
        return self._custom("get", self.name)

    def _custom(self, verb: str, *arguments: Any) -> Json:
        call = getattr(client.CustomObjectsApi(self.api), f"{verb}_namespaced_custom_object")
        stored: Json = call(labels.GROUP, labels.VERSION, self.namespace, "loramodels", *arguments, _request_timeout=10)
        return stored
