"""Programs that come from Debian: those that build images, and a browser for tests."""

import os
import shutil
import subprocess
from collections.abc import Sequence

from local_cluster.progress import Progress
from local_images.errors import ImageError

BUILDERS = ("buildah", "mmdebstrap")
BROWSER = ("chromium",)
"""Each program is the name of its Debian package, too."""
_TIMEOUT_SECONDS = 900
_PATIENCE = "DPkg::Lock::Timeout=300"


def ensure(progress: Progress, programs: Sequence[str] = BUILDERS) -> None:
    """Installs those that are missing.

    Raises:
        ImageError: one is missing and cannot be installed here.
    """
    missing = [name for name in programs if shutil.which(name) is None]
    if not missing:
        return
    names = " ".join(missing)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise ImageError(f"{names} must be there: install them (this needs root and Debian's apt-get)")
    with progress.step(f"installing the Debian packages {names}"):
        for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *missing]):
            done = subprocess.run(
                ["apt-get", "-o", _PATIENCE, *arguments],
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
            )
            if done.returncode != 0:
                raise ImageError(f"`apt-get {' '.join(arguments)}` failed: {done.stderr.strip()[-500:]}")
