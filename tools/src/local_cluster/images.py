"""Container images without a container engine: made from static programs, loaded into containerd."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_cluster.errors import ClusterError

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_LOAD_TIMEOUT_SECONDS = 1800


def write_scratch_image(archive: Path, reference: str, files: Mapping[str, Path], entrypoint: Sequence[str]) -> None:
    """Writes an image that holds nothing but the files, as a docker archive. Same input, same bytes.

    Args:
        archive: the tar file to write.
        reference: the image's full name, e.g. `localhost/pause:1`.
        files: what lies where in the image: absolute path to the program on this machine.
        entrypoint: the command it runs.
    """
    layer = _tar({path.lstrip("/"): source.read_bytes() for path, source in files.items()}, mode=0o755)
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint), "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [reference], "Layers": ["layer.tar"]}]).encode()
    members = {"layer.tar": layer, config_name: config, "manifest.json": manifest}
    archive.write_bytes(_tar(members, mode=0o644))


def load(socket: Path, archive: Path) -> list[str]:
    """Imports an image archive (docker or OCI) into the containerd behind the socket; the images' names.

    Raises:
        ClusterError: the file is missing or not an image archive.
    """
    if not archive.is_file():
        raise ClusterError(f"no image archive at {archive}: make one with `buildah push IMAGE oci-archive:{archive}`")
    done = subprocess.run(
        ["ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", archive],
        capture_output=True,
        text=True,
        timeout=_LOAD_TIMEOUT_SECONDS,
    )
    if done.returncode != 0:
        raise ClusterError(f"containerd refused {archive}: {done.stderr.strip()}")
    # "unpacking NAME (sha256:…)...done"
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("unpacking ")]


def _tar(members: Mapping[str, bytes], mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
