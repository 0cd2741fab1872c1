"""Real servers, one of each for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_runtime.store.content import ContentStore
from support.object_servers import GCS, S3, running_gcs, running_s3
from support.oci_registry import Registry, running_registry
from support.stores import an_adapter_of, open_at


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with running_s3(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GCS]:
    with running_gcs(tmp_path_factory.mktemp("gcs")) as running:
        yield running


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def pirate(tmp_path: Path) -> Path:
    return an_adapter_of(tmp_path / "pirate")


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return open_at(tmp_path)
