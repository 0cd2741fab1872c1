"""Sources in few words."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_api.runtime_api import Part, Refusal, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import HuggingFaceSource, SecretRef, VolumeSource
from lora_runtime.adapters.errors import ADAPTER_FILES, Refused
from lora_runtime.adapters.inspect import inspect
from lora_runtime.store.content import ContentStore
from lora_runtime.store.progress import Progress
from lora_runtime.store.versions import Published

REPO = "team/pirate"


def from_hub(revision: str = "main", secret: str | None = None, subfolder: str | None = None) -> AdapterSource:
    return AdapterSource(
        hugging_face=HuggingFaceSource(repo=REPO, revision=revision, subfolder=subfolder),
        credentials_ref=None if secret is None else SecretRef(name=secret),
    )


def from_volume(path: str = "pirate", name: str = "shared") -> AdapterSource:
    return AdapterSource(volume=VolumeSource(name=name, path=path))


def put(volumes: Path, adapter: Path, path: str = "pirate") -> Path:
    """Copies an adapter into the volume `shared`."""
    return shutil.copytree(adapter, volumes / "shared" / path, dirs_exist_ok=True)


def spec_of(
    digest: str, weight: float = 1.0, precision: Precision = Precision.AUTO, path: str = "pirate"
) -> RevisionSpec:
    part = Part(source=from_volume(path), digest=digest, weight=weight)
    return RevisionSpec.of((part,), BlendMethod.CONCAT, precision)


async def refusal_of(store: ContentStore, source: AdapterSource) -> Refusal:
    with pytest.raises(Refused) as caught:
        await store.resolve(source)
    return caught.value.refusal


async def publish(store: ContentStore, spec: RevisionSpec) -> Published:
    """As the workshop does it, without a base model to check against."""
    folders = [await store.ensure(part.source, part.digest) for part in spec.leaves]
    return await store.publish(spec, [inspect(folder) for folder in folders])


def contents(root: Path) -> list[str]:
    return sorted(folder.name for folder in (root / "sha256").iterdir())


def versions(root: Path) -> list[str]:
    return sorted(folder.name for folder in (root / "versions").iterdir())


class ScriptedSource:
    """Copies one folder; `act` runs after each file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetches = 0
        self.act: Callable[[], None] = lambda: None
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def pin(self, source: AdapterSource) -> AdapterSource:
        return source

    async def fetch(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        self.fetches += 1
        self.began.set()
        size = sum((self.folder / name).stat().st_size for name in ADAPTER_FILES)
        progress(0, size)
        await self.gate.wait()
        done = 0
        for name in ADAPTER_FILES:
            done += (into / name).write_bytes((self.folder / name).read_bytes())
            progress(done, size)
            self.act()
