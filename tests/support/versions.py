"""This repository as it is, and as it was: earlier code is taken out of git's history and run with today's libraries."""

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_SOURCES = ("crds/src", "operator/src", "runtime/src", "tests")
_TAKEN = ("crds", "operator", "runtime", "helm", "tests/support")


@dataclass(frozen=True, slots=True)
class Version:
    """One state of operator, runtime, CRDs and chart."""

    name: str
    root: Path

    @property
    def image(self) -> str:
        """What its operator calls the image of its runtime."""
        return f"example.invalid/lora-runtime-cpu:{self.name}"

    @property
    def python_path(self) -> str:
        """Has its packages come before those that are installed."""
        return ":".join(str(self.root / source) for source in _SOURCES)

    @property
    def chart(self) -> Path:
        """Its Helm chart."""
        return self.root / "helm" / "lora-operator"

    @property
    def crds(self) -> Path:
        """The folder of its CRDs."""
        return self.root / "crds"


NOW = Version("now", ROOT)


def earlier(commit: str, folder: Path) -> Version:
    """The version of a commit, written into the folder; the test is skipped where history does not go back as far."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", commit, "--", *_TAKEN], capture_output=True, check=False
    )
    if archive.returncode != 0:
        pytest.skip(
            f"this checkout's history does not hold {commit[:7]} ({archive.stderr.decode(errors='replace').strip()}); "
            "`git fetch --unshallow` brings it"
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return Version(commit[:7], folder)
