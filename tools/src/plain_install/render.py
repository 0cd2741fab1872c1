"""Renders the chart and takes out what only helm needs."""

import subprocess
from pathlib import Path

from local_cluster import binaries
from local_cluster.layout import cache_root
from local_cluster.progress import Progress

ROOT = Path(__file__).resolve().parents[3]
TARGET = ROOT / "manifests" / "install.yaml"
_HEADER = "# Generated from helm/lora-operator by `make gen`: kubectl apply --server-side -f manifests/install.yaml\n"
_OF_HELM = ("helm.sh/chart: ", "app.kubernetes.io/managed-by: Helm")
_TIMEOUT_SECONDS = 60


def rendered(progress: Progress) -> str:
    """The text of the file.

    Raises:
        ClusterError: helm cannot be built.
        CalledProcessError: the chart does not render.
    """
    helm = binaries.ensure(["helm"], cache_root(), progress)["helm"]
    chart = ROOT / "helm" / "lora-operator"
    done = subprocess.run(
        # Its notes on what to keep at an uninstall mean nothing without helm.
        [helm, "template", "lora-operator", chart, "--namespace=lora-operator", "--set=crds.keep=false"],
        check=True,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
    )
    lines = (line for line in done.stdout.splitlines() if not line.strip().startswith(_OF_HELM))
    return _HEADER + (ROOT / "manifests" / "namespace.yaml").read_text() + "\n".join(lines) + "\n"
