"""A mounted Secret as the kubelet keeps it: all files change at once."""

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from lora_operator.clients.certificates import Authority, Leaf


def write_mounted(folder: Path, files: Mapping[str, bytes]) -> None:
    """Puts the files into the folder in place of all that are there: links to links, the second of which is swapped."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "..data"
    before = data.resolve() if data.is_symlink() else None
    made = folder / f"..{uuid.uuid4().hex}"
    made.mkdir()
    for name, content in files.items():
        (made / name).write_bytes(content)
    swap = folder / "..data_tmp"
    swap.symlink_to(made.name)
    os.replace(swap, data)
    for name in files:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(Path("..data", name))
    if before is not None:
        shutil.rmtree(before)


def mount_certificate(folder: Path, authority: Authority, leaf: Leaf) -> None:
    """The Secret of a pod with this certificate."""
    write_mounted(folder, {"tls.crt": leaf.certificate, "tls.key": leaf.key, "ca.crt": authority.pem})
