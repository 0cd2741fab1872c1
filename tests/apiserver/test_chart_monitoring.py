"""What the chart installs for Prometheus and Grafana: accepted by their CRDs, and it selects what is really there."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cluster import Cluster
from lora_operator.domain import render
from support import snippets
from support.builders import a_model
from support.chart import CHART, Manifest, rendered, run_helm, the
from unit.operator.render.test_golden import CONFIG

pytestmark = pytest.mark.apiserver

MODULE = Path(__file__).resolve().parents[2] / "tools" / "go" / "prometheus-operator"
NAMES = ("podmonitors", "prometheusrules", "servicemonitors")
LABELS = {"release": "prometheus"}
ALL: Mapping[str, Any] = {
    "serviceMonitor": {"enabled": True, "interval": "15s", "labels": LABELS},
    "podMonitor": {"enabled": True, "interval": "15s", "labels": LABELS},
    "prometheusRule": {"enabled": True, "labels": LABELS},
    "dashboard": {"enabled": True},
}
KINDS = ("ServiceMonitor", "PodMonitor", "PrometheusRule")


@pytest.fixture(scope="module")
def documents() -> list[Manifest]:
    return rendered({"monitoring": ALL})


@pytest.fixture(scope="module")
def prometheus_operator(api_server: Cluster) -> Iterator[None]:
    """The CRDs of the Prometheus Operator, without it."""
    told = subprocess.run(
        ["go", "mod", "download", "-json", "github.com/prometheus-operator/prometheus-operator"],
        cwd=MODULE, check=True, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    folder = Path(json.loads(told.stdout)["Dir"]) / "example" / "prometheus-operator-crd"
    files = [word for name in NAMES for word in ("-f", str(folder / f"monitoring.coreos.com_{name}.yaml"))]
    api_server.kubectl("apply", "--server-side", *files)
    crds = [f"crd/{name}.monitoring.coreos.com" for name in NAMES]
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=60s", *crds)
    yield
    api_server.kubectl("delete", "--wait=false", *files)


def test_monitors_and_alerts_are_what_the_prometheus_operator_takes(
    api_server: Cluster, prometheus_operator: None, documents: list[Manifest], namespace: str
) -> None:
    wanted = [document for document in documents if document["kind"] in (*KINDS, "Service", "ConfigMap")]
    for document in wanted:
        document = document | {"metadata": document["metadata"] | {"namespace": namespace}}
        api_server.kubectl(
            *("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"), stdin=json.dumps(document)
        )
    assert len(wanted) == 5


def test_the_command_of_the_how_to_installs_all_of_it() -> None:
    (page,) = (page for page in snippets.PAGES if page.name == "monitor.md")
    text = next(snippet.text for snippet in snippets.snippets(page) if "monitoring.serviceMonitor" in snippet.text)
    flags = re.findall(r"--set \S+", text.replace("\\\n", " "))
    installed = {document["kind"] for document in rendered({}, *" ".join(flags).split())}
    assert {*KINDS, "Service", "ConfigMap"} <= installed


def test_nothing_of_it_is_installed_unless_it_is_wanted() -> None:
    assert {document["kind"] for document in rendered({})}.isdisjoint({*KINDS, "Service", "ConfigMap"})


def test_the_operators_monitor_leads_to_its_service_and_that_to_its_port(documents: list[Manifest]) -> None:
    monitor, service = the("ServiceMonitor", documents), the("Service", documents)
    template = the("Deployment", documents)["spec"]["template"]

    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [service["metadata"]["namespace"]]}
    (endpoint,), (port,) = monitor["spec"]["endpoints"], service["spec"]["ports"]
    assert endpoint["port"] == port["name"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    named = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
    assert named[port["targetPort"]] == port["port"]
    assert endpoint["honorLabels"], "or Prometheus renames the models' namespaces"


def test_the_pods_monitor_selects_the_pods_that_the_operator_makes(documents: list[Manifest]) -> None:
    spec = the("PodMonitor", documents)["spec"]
    (deployment,) = (child for child in render.children(a_model(), CONFIG) if child["kind"] == "Deployment")
    template = deployment["spec"]["template"]

    assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (endpoint,) = spec["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert spec["namespaceSelector"] == {"any": True}
    assert endpoint["relabelings"] == [
        {"sourceLabels": ["__meta_kubernetes_pod_label_lora_operator_io_model"], "targetLabel": "model"}
    ]


def test_pods_are_looked_for_only_where_models_are_served() -> None:
    documents = rendered({"monitoring": ALL, "watchNamespaces": ["team", "other"]})

    assert the("PodMonitor", documents)["spec"]["namespaceSelector"] == {"matchNames": ["team", "other"]}


def test_each_is_found_by_the_labels_it_was_given(documents: list[Manifest]) -> None:
    for kind in KINDS:
        assert LABELS.items() <= the(kind, documents)["metadata"]["labels"].items()
    assert the("ConfigMap", documents)["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_alerts_and_dashboard_are_those_of_the_files(documents: list[Manifest]) -> None:
    files = CHART / "files" / "monitoring"

    assert the("PrometheusRule", documents)["spec"] == yaml.safe_load((files / "alerts.yaml").read_text())
    (text,) = the("ConfigMap", documents)["data"].values()
    assert json.loads(text) == json.loads((files / "dashboard.json").read_text())


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"serviceMonitor": {"interval": "often"}}, "interval"),
        ({"podMonitors": {}}, "podMonitors"),
        ({"dashboard": {"labels": {"grafana_dashboard": 1}}}, "grafana_dashboard"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(values: Mapping[str, Any], told: str) -> None:
    done = run_helm("template", {"monitoring": values})

    assert done.returncode != 0
    assert told in done.stderr
