"""The chart as helm renders it."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from local_cluster import binaries
from local_cluster.layout import cache_root
from local_cluster.progress import Silence

CHART = Path(__file__).resolve().parents[2] / "helm" / "lora-operator"

Manifest = dict[str, Any]
Values = Mapping[str, Any]


def run_helm(command: str, values: Values, *flags: str) -> subprocess.CompletedProcess[str]:
    """`helm template` or `helm lint` with these values."""
    helm = binaries.ensure(["helm"], cache_root(), Silence())["helm"]
    names = [] if command == "lint" else ["lora-operator"]
    return subprocess.run(
        [helm, command, *names, CHART, "--namespace=lora-operator", "--values=-", *flags],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        timeout=60,
    )


def rendered(values: Values, *flags: str) -> list[Manifest]:
    """The objects that the chart installs with these values."""
    done = run_helm("template", values, *flags)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def the(kind: str, documents: list[Manifest]) -> Manifest:
    """The one object of a kind."""
    (found,) = (document for document in documents if document["kind"] == kind)
    return found
