"""A real API server accepts what is rendered for each kind of accelerator."""

from pathlib import Path

import pytest
import yaml

from local_cluster import Cluster
from lora_api.v1alpha1.engine import AcceleratorType

pytestmark = pytest.mark.apiserver

GOLDEN = Path(__file__).resolve().parents[1] / "unit" / "operator" / "render" / "golden"


@pytest.mark.parametrize("accelerator", AcceleratorType)
def test_the_golden_children_are_accepted_without_a_warning(
    api_server: Cluster, namespace: str, accelerator: AcceleratorType
) -> None:
    manifests = list(yaml.safe_load_all((GOLDEN / f"{accelerator.lower()}.yaml").read_text(encoding="utf-8")))
    for manifest in manifests:
        manifest["metadata"]["namespace"] = namespace
    applied = api_server.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-",
        stdin=yaml.safe_dump_all(manifests),
    )  # fmt: skip
    assert applied.count("serverside-applied (server dry run)") == len(manifests) == 4
