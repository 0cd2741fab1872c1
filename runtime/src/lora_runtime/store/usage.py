"""What the store takes on the pod's disk."""

from collections.abc import Mapping
from pathlib import Path

from lora_runtime.store.disk import size_of

KINDS = {"content": "sha256", "versions": "versions", "incoming": "incoming"}
"""Folder of the store by what lies in it: fetched adapters, published revisions, downloads under way."""


def store_bytes(root: Path) -> Mapping[str, int]:
    """Bytes of the files in a store, by kind; looks at each of them, from any thread."""
    return {kind: size_of(root / folder) for kind, folder in KINDS.items()}
