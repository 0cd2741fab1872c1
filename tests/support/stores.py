"""Stores that fetch from servers on loopback, which the administrator allows here, and what they fetch."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from lora_api.egress import Egress
from lora_api.runtime_api import Refusal
from lora_api.v1alpha1.adapter import AdapterSource
from lora_runtime.adapters.errors import Refused
from lora_runtime.store.content import ContentStore, open_store

LOOPBACK = Egress(allowed_addresses=(ip_network("127.0.0.0/8"),))
CONFIG = b'{"peft_type": "LORA"}'


def open_at(tmp_path: Path, egress: Egress = LOOPBACK, max_bytes: int = 64 << 20) -> ContentStore:
    """The store of a test, as a restarted process opens it."""
    return open_store(
        tmp_path / "store",
        volumes_root=tmp_path / "volumes",
        credentials_root=tmp_path / "credentials",
        egress=egress,
        max_bytes=max_bytes,
    )


def mount_secret(tmp_path: Path, keys: dict[str, str], name: str = "team") -> str:
    """Mounts a Secret, or changes it as the kubelet does; returns its name."""
    folder = tmp_path / "credentials" / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for key, value in keys.items():
        (folder / key).write_text(value)
    return name


def an_adapter_of(folder: Path, size: int = 3 << 20, seed: bytes = b"pirate") -> Path:
    """Files that differ by seed; stores do not look inside."""
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_bytes(CONFIG)
    (folder / "adapter_model.safetensors").write_bytes((seed * (size // len(seed) + 1))[:size])
    return folder


def a_source(kind: str, secret: str | None = None, **fields: object) -> AdapterSource:
    """A source of one kind, with fields as a manifest has them."""
    written: dict[str, object] = {kind: fields}
    if secret is not None:
        written["credentialsRef"] = {"name": secret}
    return AdapterSource.model_validate(written)


async def refused(store: ContentStore, source: AdapterSource) -> Refusal:
    """Why the store cannot resolve it."""
    with pytest.raises(Refused) as caught:
        await store.resolve(source)
    return caught.value.refusal
