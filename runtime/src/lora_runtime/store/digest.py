"""One name for the bytes of an adapter, wherever they came from."""

import hashlib
from pathlib import Path

from lora_api.runtime_api import Digest, RevisionSpec
from lora_runtime.adapters.errors import ADAPTER_FILES

_ALGORITHM = "sha256:"


def digest_of(folder: Path) -> str:
    """Digest over name, size and SHA-256 of the two files of an adapter, as `sha256:<64 hex>`.

    Raises:
        OSError: a file is missing or cannot be read.
    """
    manifest = hashlib.sha256()
    for name in sorted(ADAPTER_FILES):
        path = folder / name
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        manifest.update(f"{name} {path.stat().st_size} {content}\n".encode())
    return _ALGORITHM + manifest.hexdigest()


def hex_of(digest: str) -> str:
    """The hexadecimal part: the name of the folder."""
    return digest.removeprefix(_ALGORITHM)


def digests_of_parts(spec: RevisionSpec) -> frozenset[Digest]:
    """The digests of all trained adapters that a revision is made of."""
    return frozenset(leaf.digest for leaf in spec.leaves)
