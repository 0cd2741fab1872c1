"""Sources in few words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lora_api.runtime_api import Part, Refusal, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, BlendMethod, Precision
from lora_api.v1alpha1.common import HuggingFaceSource, SecretRef, VolumeSource
from lora_runtime.adapters.errors import Refused
from lora_runtime.store.content import ContentStore

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


def spec_of(digest: str, weight: float = 1.0, precision: Precision = Precision.AUTO) -> RevisionSpec:
    part = Part(source=from_volume(), digest=digest, weight=weight)
    return RevisionSpec.of((part,), BlendMethod.CONCAT, precision)


async def refusal_of(store: ContentStore, source: AdapterSource) -> Refusal:
    with pytest.raises(Refused) as caught:
        await store.resolve(source)
    return caught.value.refusal
