"""The base image: Debian with Python, made from Debian's own packages."""

import os
import subprocess
import tempfile
from pathlib import Path

from local_images.buildah import Buildah
from local_images.errors import ImageError
from local_images.recipes import BASE_KEY, BASE_PACKAGES, SUITE

REFERENCE = f"localhost/lora-base:{BASE_KEY}"
_TIMEOUT_SECONDS = 1800
# What no program in a container reads.
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")


def make(buildah: Buildah) -> None:
    """Makes the base image in buildah's storage.

    Raises:
        ImageError: Debian's packages cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="local-images-base-", dir=buildah.root) as folder:
        archive = Path(folder) / "base.tar"
        _debootstrap(archive)
        container = buildah.run("from", "scratch")
        try:
            buildah.run("add", container, archive, "/")
            buildah.run("config", "--cmd", "/bin/sh", "--env", "LANG=C.UTF-8", container)
            buildah.run("commit", container, REFERENCE)
        finally:
            buildah.run("rm", container)


def _debootstrap(archive: Path) -> None:
    done = subprocess.run(
        [
            *("mmdebstrap", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}"),
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
            *(SUITE, archive),
        ],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        # Fixed, so that the same packages give the same bytes.
        env=os.environ | {"SOURCE_DATE_EPOCH": "0"},
    )
    if done.returncode != 0:
        told = "\n".join(done.stderr.strip().splitlines()[-10:])
        raise ImageError(f"`mmdebstrap {SUITE}` failed, is Debian's mirror reachable?\n{told}")
