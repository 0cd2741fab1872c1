"""Children on a real API server: it accepts what is rendered for each kind of accelerator, and what others edit is put right."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cluster import Cluster
from lora_api import labels
from lora_api.v1alpha1.engine import AcceleratorType
from support.custom_resources import MODEL
from support.operated import Operator, Team, eventually

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


def replaced(field: str, value: Any) -> dict[str, Any]:
    """One step of a JSON patch."""
    return {"op": "replace", "path": f"/spec/{field}", "value": value}


def without_label(label: str) -> dict[str, Any]:
    """The same of a label."""
    return {"op": "remove", "path": f"/metadata/labels/{label.replace('/', '~1')}"}


@pytest.mark.parametrize(
    ("child", "edit"),
    [
        pytest.param("service", [replaced("selector", {"app": "impostor"})], id="clients sent to other pods"),
        pytest.param("service", [replaced("ports/0/targetPort", 9999)], id="clients sent to another port"),
        pytest.param("networkpolicy", [replaced("ingress", [{}])], id="everybody let in to the admin port"),
        pytest.param("networkpolicy", [replaced("podSelector", {"matchLabels": {"app": "x"}})], id="for other pods"),
        pytest.param("poddisruptionbudget", [replaced("maxUnavailable", "100%")], id="all may be evicted"),
        pytest.param(
            "poddisruptionbudget",
            [{"op": "remove", "path": "/spec/maxUnavailable"}, {"op": "add", "path": "/spec/minAvailable", "value": 9}],
            id="none may be evicted",
        ),
        pytest.param("deployment", [without_label("app.kubernetes.io/name")], id="not found by its name"),
        pytest.param("deployment", [without_label(labels.MODEL)], id="not found by its model"),
        pytest.param("networkpolicy", [without_label(labels.MANAGED_BY_LABEL)], id="not found as ours"),
    ],
)
def test_what_others_edit_of_a_child_is_put_right_within_seconds(
    api_server: Cluster, team: Team, operator: Operator, child: str, edit: list[dict[str, Any]]
) -> None:
    def kubectl(verb: str, *arguments: str) -> dict[str, Any]:
        answer = api_server.kubectl("--namespace", team.namespace, verb, child, "smol", *arguments, "--output=json")
        found = json.loads(answer)
        return {"spec": found["spec"], "labels": found["metadata"]["labels"]}

    with operator.running():
        team.create(MODEL)
        api_server.kubectl("--namespace", team.namespace, "wait", "--for=create", f"{child}/smol", "--timeout=60s")
        before = kubectl("get")
        assert kubectl("patch", "--type=json", "--patch", json.dumps(edit)) != before
        edited = time.monotonic()
        eventually("as before", lambda: kubectl("get") == before)
        assert time.monotonic() - edited < 10, "that was the sweep"
        team.comes_to("loramodels", "smol", "Accepted", ("True", "Accepted"))
