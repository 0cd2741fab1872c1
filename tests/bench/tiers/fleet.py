"""Thousands of adapters on disk: each has a folder and a digest of its own, and tensors that it shares with others."""

import json
import os
from pathlib import Path

from bench.served.recipes import Recipe
from bench.served.world import World
from lora_api.runtime_api import DesiredAdapter, Part, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_runtime.store.digest import digest_of

_CONFIG, _TENSORS = "adapter_config.json", "adapter_model.safetensors"


def entry(world: World, name: str, recipe: Recipe) -> DesiredAdapter:
    """Puts an adapter of its own into the volume; returns what to declare."""
    ((trained, weight),) = recipe.parts
    original, folder = world.adapters[trained], world.volumes / "adapters" / name
    folder.mkdir()
    os.link(original / _TENSORS, folder / _TENSORS)
    config = json.loads((original / _CONFIG).read_bytes())
    # Nothing that acts, but other bytes: the runtime sees an adapter that it has never seen.
    (folder / _CONFIG).write_text(json.dumps(config | {"revision": name}), encoding="utf-8")
    source = AdapterSource(volume=VolumeSource(name="adapters", path=name))
    part = Part(source=source, digest=digest_of(Path(folder)), weight=weight)
    spec = RevisionSpec.of((part,), BlendMethod.CONCAT, Precision.AUTO)
    return DesiredAdapter(name=name, uid=name, serve=spec)
