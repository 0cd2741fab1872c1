"""The Secret with the certificates of a namespace's pods: one for all models, each with keys of its own.

Its name is the same everywhere, so that the operator's role can be held to it; see docs/adr/0013.
"""

import base64
from collections.abc import Mapping
from typing import Any

from lora_api import labels
from lora_api.v1alpha1.model import LoRAModel
from lora_operator.domain.observed import ModelKey, ObjectMeta

CERTIFICATES = "lora-runtime-tls"
_AUTHORITY = "ca.crt"
_FILES = ("tls.crt", "tls.key")


def admin_host(key: ModelKey) -> str:
    """The name that certificates of the model's pods carry; it is never looked up, since pods are addressed by IP."""
    return f"{key.name}.{key.namespace}.runtime.{labels.GROUP}"


def certificate_manifest(model: ObjectMeta, certificate: bytes, key: bytes, authority: bytes) -> Mapping[str, Any]:
    """What one model adds to the Secret; what others have in it stays, since each applies under a name of its own."""
    data = dict(zip((*_keys(model.name), _AUTHORITY), (certificate, key, authority), strict=True))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": CERTIFICATES,
            "namespace": model.namespace,
            "labels": {
                labels.COMPONENT: "certificates",
                labels.PART_OF: "lora-operator",
                labels.MANAGED_BY_LABEL: labels.MANAGED_BY,
            },
            # No controller: it goes when the last of the models has gone.
            "ownerReferences": [
                {"apiVersion": labels.API_VERSION, "kind": LoRAModel.kind, "name": model.name, "uid": model.uid}
            ],
        },
        "data": {name: base64.b64encode(content).decode() for name, content in data.items()},
    }


def certificate_volume(model: str) -> dict[str, Any]:
    """What a pod mounts of it: the files of its own model."""
    items = [*zip(_keys(model), _FILES, strict=True), (_AUTHORITY, _AUTHORITY)]
    return {"secretName": CERTIFICATES, "items": [{"key": key, "path": path} for key, path in items]}


def _keys(model: str) -> tuple[str, str]:
    # A model's name has no dots, so none is taken for the authority's.
    return f"{model}.tls.crt", f"{model}.tls.key"
