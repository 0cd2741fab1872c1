"""What krew fetches and unpacks, and the manifest by which it knows it."""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
ARCHIVE = "kubectl-lora.tar.gz"
MANIFEST = "lora.yaml"

_LAUNCHER = """\
#!/bin/sh
# Runs the wheel beside this file in an environment that uv keeps in its cache.
set -eu
here=$(dirname "$(readlink -f "$0")")
if ! command -v uv >/dev/null; then
    echo "kubectl lora needs uv (https://docs.astral.sh/uv/), which also brings Python where there is none" >&2
    exit 1
fi
exec uv tool run --quiet --from "lora-operator[cli] @ file://$here/{wheel}" kubectl-lora "$@"
"""


def write(folder: Path, uri: str) -> tuple[Path, Path]:
    """Builds the wheel, packs it, and writes the manifest; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", made], cwd=ROOT, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        [wheel] = Path(made).glob("*.whl")
        version = wheel.name.split("-")[1]
        packed = _packed(wheel)
    archive, manifest = folder / ARCHIVE, folder / MANIFEST
    archive.write_bytes(packed)
    manifest.write_text(yaml.safe_dump(_manifest(version, uri, packed), sort_keys=False), encoding="utf-8")
    return archive, manifest


def _packed(wheel: Path) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as tar:
        _add(tar, "kubectl-lora", _LAUNCHER.format(wheel=wheel.name).encode(), 0o755)
        _add(tar, wheel.name, wheel.read_bytes(), 0o644)
        _add(tar, "LICENSE", (ROOT / "LICENSE").read_bytes(), 0o644)
    return whole.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _manifest(version: str, uri: str, packed: bytes) -> dict[str, Any]:
    platform = {
        "selector": {"matchExpressions": [{"key": "os", "operator": "In", "values": ["linux", "darwin"]}]},
        "uri": uri,
        "sha256": hashlib.sha256(packed).hexdigest(),
        "files": [{"from": "*", "to": "."}],
        "bin": "kubectl-lora",
    }
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "lora"},
        "spec": {
            "version": f"v{version}",
            "shortDescription": "See, change and ask LoRA adapters",
            "description": (
                "Adapters of lora-operator: how they stand and why, add, scale, blend, roll back, chat, compare. With\n"
                "your own rights, through the API server.\n"
            ),
            "caveats": "Needs uv (https://docs.astral.sh/uv/).\n",
            "platforms": [platform],
        },
    }
