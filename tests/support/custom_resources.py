"""Valid custom resources, and mutations of them."""

import copy
from collections.abc import Mapping
from typing import Any

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
