"""What the store takes on the pod's disk."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

KINDS = {"content": "sha256", "versions": "versions", "incoming": "incoming"}
"""Folder of the store by what lies in it: fetched adapters, published revisions, downloads under way."""


def store_bytes(root: Path) -> Mapping[str, int]:
    """Bytes of the files in a store, by kind; looks at each of them, from any thread."""
    return {kind: sum(_sizes(root / folder)) for kind, folder in KINDS.items()}


def _sizes(folder: str | Path) -> Iterator[int]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        # Removed meanwhile, or not made yet.
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _sizes(entry.path)
            else:
                yield entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
