"""Rules of the CRDs, one row each."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from kubernetes import client

from support.custom_resources import Manifest, Objects, mutated


def refused(title: str, base: Manifest, changes: Mapping[str, Any], *told: str) -> Any:
    """A parameter of a test: the mutation of a valid object, and the words that the refusal must hold."""
    return pytest.param(mutated(base, changes), told, id=title)


def expect_refusal(objects: Objects, manifest: Manifest, told: Collection[str]) -> None:
    """Tries to create an object, and reads what the API server says."""
    with pytest.raises(client.ApiException) as refusal:
        objects.create(manifest, dry_run=True)
    assert refusal.value.status in (400, 422)
    for words in told:
        assert words in str(refusal.value.body)
