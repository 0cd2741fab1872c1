"""Valid custom resources, and mutations of them."""

import copy
from collections.abc import Mapping
from typing import Any

from kubernetes import client

from lora_api import labels

Manifest = dict[str, Any]

UNSET = object()
"""As the value of a mutation: take the field away."""

MODEL: Manifest = {
    "apiVersion": labels.API_VERSION,
    "kind": "LoRAModel",
    "metadata": {"name": "smol"},
    "spec": {"source": {"huggingFace": {"repo": "team/smol"}}},
}

ADAPTER: Manifest = {
    "apiVersion": labels.API_VERSION,
    "kind": "LoRAAdapter",
    "metadata": {"name": "pirate"},
    "spec": {"modelRef": {"name": "smol"}, "source": {"huggingFace": {"repo": "team/pirate"}}},
}

BLEND: Manifest = {
    "apiVersion": labels.API_VERSION,
    "kind": "LoRAAdapter",
    "metadata": {"name": "polite-pirate"},
    "spec": {
        "modelRef": {"name": "smol"},
        "blend": {"members": [{"adapterRef": {"name": "pirate"}}, {"adapterRef": {"name": "formal"}, "weight": 0.5}]},
    },
}


MIXTURE: Manifest = MODEL | {
    "spec": MODEL["spec"]
    | {"mixture": {"experts": [{"adapterRef": {"name": "pirate"}}, {"adapterRef": {"name": "formal"}}]}}
}


def mutated(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Manifest:
    """A copy of `base` with the field at each dotted path set, or taken away where the value is UNSET.

    A path's missing parents are made: `{"spec.engine.dtype": "Float32"}`. Digits index a list.
    """
    result = copy.deepcopy(dict(base))
    for path, value in changes.items():
        *parents, last = path.split(".")
        holder: Any = result
        for part in parents:
            holder = holder[int(part)] if part.isdigit() else holder.setdefault(part, {})
        if value is UNSET:
            del holder[last]
        else:
            holder[int(last) if last.isdigit() else last] = value
    return result


class Objects:
    """The two custom resources of one namespace."""

    def __init__(self, api_client: client.ApiClient, namespace: str) -> None:
        self._api = client.CustomObjectsApi(api_client)
        self._namespace = namespace

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """The object as stored. Unknown fields are errors here."""
        options: dict[str, Any] = {"dry_run": "All"} if dry_run else {}
        stored: Manifest = self._api.create_namespaced_custom_object(
            *self._where(manifest), manifest, field_validation="Strict", **options
        )
        return stored

    def replace(self, manifest: Manifest) -> Manifest:
        """The object as stored."""
        stored: Manifest = self._api.replace_namespaced_custom_object(
            *self._where(manifest), manifest["metadata"]["name"], manifest
        )
        return stored

    def _where(self, manifest: Manifest) -> tuple[str, str, str, str]:
        return labels.GROUP, labels.VERSION, self._namespace, f"{manifest['kind'].lower()}s"
