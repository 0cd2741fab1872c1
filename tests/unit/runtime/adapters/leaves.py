"""Adapters on disk as the leaves of recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lora_api.runtime_api import Part
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import VolumeSource
from lora_api.wire import Digest
from lora_runtime.adapters.blend import Files
from lora_runtime.adapters.inspect import inspect
from lora_runtime.store.digest import digest_of

Weighted = tuple[Path, float]


def leaf(folder: Path, weight: float = 1.0) -> Part:
    source = AdapterSource(volume=VolumeSource(name="shared", path=folder.name))
    return Part(source=source, digest=digest_of(folder), weight=weight)


def files_of(*folders: Path) -> Mapping[Digest, Files]:
    return {digest_of(folder): Files(folder, inspect(folder)) for folder in folders}


def leaves_of(parts: Sequence[Weighted]) -> tuple[tuple[Part, ...], Mapping[Digest, Files]]:
    return tuple(leaf(folder, weight) for folder, weight in parts), files_of(*(folder for folder, _ in parts))
