"""One name for the bytes of an adapter, wherever they came from."""

import hashlib
from pathlib import Path

from lora_api.runtime_api import RevisionSpec
from lora_api.wire import Digest
from lora_runtime.adapters.layout import files_in

_ALGORITHM = "sha256:"


def digest_of(folder: Path) -> str:
    """Digest over name, size and SHA-256 of the files of an adapter, as `sha256:<64 hex>`.

    Raises:
        OSError: a file is missing or cannot be read.
    """
    manifest = hashlib.sha256()
    for name in files_in(folder):
        path = folder / name
        manifest.update(f"{name} {path.stat().st_size} {sha256_of(path)}\n".encode())
    return _ALGORITHM + manifest.hexdigest()


def sha256_of(file: Path) -> str:
    """The SHA-256 of one file, as 64 hex digits.

    Raises:
        OSError: it is missing or cannot be read.
    """
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def hex_of(digest: str) -> str:
    """The hexadecimal part: the name of the folder."""
    return digest.removeprefix(_ALGORITHM)


def digests_of_parts(spec: RevisionSpec) -> frozenset[Digest]:
    """The digests of all trained adapters that a revision is made of."""
    return frozenset(leaf.digest for leaf in spec.leaves)
