"""A store with a hub and a volume of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_runtime.store.content import ContentStore, open_store
from lora_runtime.store.room import Volume
from lora_runtime.store.sources.source import Sources
from support.hub import Hub, running_hub
from support.models import tiny_adapter, tiny_base
from unit.runtime.store.sources import ScriptedSource


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as running:
        yield running


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def pirate(base: Path, tmp_path: Path) -> Path:
    """An adapter that nothing else has."""
    return tiny_adapter(tmp_path / "pirate", base, seed=1)


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """The folder of mounted volumes, with one of them: `shared`."""
    (tmp_path / "volumes" / "shared").mkdir(parents=True)
    return tmp_path / "volumes"


@pytest.fixture
def store(tmp_path: Path, hub: Hub, volumes: Path) -> ContentStore:
    return open_again(tmp_path, hub)


@pytest.fixture
def scripted(pirate: Path) -> ScriptedSource:
    return ScriptedSource(pirate)


@pytest.fixture
def slow_store(tmp_path: Path, scripted: ScriptedSource) -> ContentStore:
    return ContentStore(tmp_path / "store", Sources(hugging_face=scripted, volume=scripted))


def open_again(tmp_path: Path, hub: Hub, max_bytes: int = 64 << 20, limit_bytes: int | None = None) -> ContentStore:
    """The store as a restarted process opens it."""
    return open_store(
        tmp_path / "store",
        volumes_root=tmp_path / "volumes",
        credentials_root=tmp_path / "credentials",
        endpoint=hub.endpoint,
        max_bytes=max_bytes,
        volume=Volume(tmp_path / "store", limit_bytes),
    )
