"""The programs that build images, from Debian."""

import os
import shutil
import subprocess

from local_cluster.progress import Progress
from local_images.errors import ImageError

_PROGRAMS = ("buildah", "mmdebstrap")
"""Each is the name of its Debian package, too."""
_TIMEOUT_SECONDS = 900
_PATIENCE = "DPkg::Lock::Timeout=300"


def ensure(progress: Progress) -> None:
    """Installs those that are missing.

    Raises:
        ImageError: one is missing and cannot be installed here.
    """
    if not _missing():
        return
    names = " ".join(_missing())
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise ImageError(f"images are built with {names}: install them (this needs root and Debian's apt-get)")
    with progress.step(f"installing the Debian packages {names}"):
        for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *_missing()]):
            done = subprocess.run(
                ["apt-get", "-o", _PATIENCE, *arguments],
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
            )
            if done.returncode != 0:
                raise ImageError(f"`apt-get {' '.join(arguments)}` failed: {done.stderr.strip()[-500:]}")


def _missing() -> list[str]:
    return [name for name in _PROGRAMS if shutil.which(name) is None]
