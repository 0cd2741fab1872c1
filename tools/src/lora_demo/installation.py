"""Installs the operator into a local cluster with helm, as a user would."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_cluster import binaries
from local_cluster.cluster import Cluster
from local_cluster.errors import ClusterError
from local_cluster.layout import cache_root
from local_cluster.progress import Progress, Silence
from lora_demo.place import OPERATOR_NAMESPACE, ROOT

RELEASE = "lora-operator"
OPERATOR_IMAGE = ("localhost/lora-operator", "dev")
THIN_RUNTIME_IMAGE = "localhost/lora-runtime-thin:dev"
FULL_RUNTIME_IMAGE = "localhost/lora-runtime-cpu:dev"
_TIMEOUT_SECONDS = 180


def install(
    cluster: Cluster,
    images: tuple[Path, ...],
    progress: Progress,
    runtime_image: str = THIN_RUNTIME_IMAGE,
    values: Mapping[str, Any] | None = None,
) -> None:
    """Loads the images into the node and installs, or upgrades, the chart; returns when the operator is ready.

    `values` are further ones of the chart.

    Raises:
        ClusterError: helm failed; the message holds what it said.
    """
    for image in images:
        cluster.load_image(image)
    repository, tag = OPERATOR_IMAGE
    values = {
        **(values or {}),
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "runtimeImages": {"CPU": runtime_image},
        "runtimeImagePullPolicy": "Never",
        "allowHostPath": True,
    }
    chart = str(ROOT / "helm" / "lora-operator")
    with progress.step("installing the operator with helm"):
        helm(
            cluster, "upgrade", "--install", RELEASE, chart, "--namespace", OPERATOR_NAMESPACE, "--create-namespace",
            "--wait", f"--timeout={_TIMEOUT_SECONDS}s", "--values=-", stdin=json.dumps(values),
        )  # fmt: skip


def helm(cluster: Cluster, *arguments: str, stdin: str | None = None) -> str:
    """Runs helm as the administrator; what it printed.

    Raises:
        ClusterError: it failed; the message holds what it complained about.
    """
    program = binaries.ensure(["helm"], cache_root(), Silence())["helm"]
    done = subprocess.run(
        [program, f"--kubeconfig={cluster.kubeconfig}", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS + 60,
        check=False,
    )
    if done.returncode != 0:
        raise ClusterError(f"helm {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
