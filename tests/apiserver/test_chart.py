"""What the chart and the plain manifests install, validated by helm and by a real API server."""

import json
import os
import string
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from local_cluster import Cluster, ClusterError
from local_cluster.progress import Silence
from lora_api import crdgen
from lora_api.egress import Egress
from lora_api.v1alpha1.engine import AcceleratorType
from lora_operator.config import Config
from plain_install import render
from support.chart import Manifest, Values, rendered, run_helm, the

pytestmark = pytest.mark.apiserver

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "system:serviceaccount:lora-operator:lora-operator"


@pytest.fixture(scope="module")
def operator_namespace(api_server: Cluster) -> Iterator[str]:
    api_server.kubectl("apply", "-f", str(ROOT / "manifests" / "namespace.yaml"))
    yield "lora-operator"
    api_server.kubectl("delete", "namespace", "lora-operator", "--wait=false")


def dry_run(cluster: Cluster, documents: list[Manifest]) -> None:
    """Lets the API server judge the objects, without keeping them. Unknown fields are errors."""
    cluster.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"),
        stdin=yaml.safe_dump_all(documents),
    )


VALUES: Mapping[str, Values] = {
    "the defaults": {},
    "one namespace": {"watchNamespaces": ["default"]},
    "its own and another namespace": {"watchNamespaces": ["lora-operator", "default"]},
    "CRDs installed otherwise": {"crds": {"install": False}},
    "an account made otherwise": {"serviceAccount": {"create": False, "name": "ours"}},
    "one that stands by": {"replicas": 2},
    "a test of an adapter": {
        "test": {"model": "smol", "adapter": "pirate", "namespace": "default", "apiKeySecret": "clients"}
    },
    "all that a pod can have": {
        "fullnameOverride": "adapters",
        "image": {"tag": "dev", "pullPolicy": "Never"},
        "imagePullSecrets": [{"name": "registry"}],
        "allowHostPath": True,
        "allowHostAccess": True,
        "egress": {"allowedHosts": ["*.example.com"], "allowedAddresses": ["127.0.0.0/8"]},
        "logLevel": "DEBUG",
        "tracing": {"endpoint": "http://collector.observability:4318"},
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "ml"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "serviceAccount": {"annotations": {"a": "b"}},
    },
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_what_the_chart_installs_is_accepted(api_server: Cluster, operator_namespace: str, values: Values) -> None:
    dry_run(api_server, rendered(values))


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_helm_finds_nothing_to_complain_about(values: Values) -> None:
    done = run_helm("lint", values)

    assert done.returncode == 0
    assert "WARNING" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"replicas": 0}, "replicas"),
        ({"image": {"name": "x"}}, "name"),
        ({"logLevel": "LOUD"}, "logLevel"),
        ({"watchNamespaces": "default"}, "watchNamespaces"),
        ({"runtimeImages": {"GPU": "x"}}, "GPU"),
        ({"allowHostPath": "yes"}, "allowHostPath"),
        ({"egress": {"hosts": []}}, "hosts"),
        ({"egress": {"allowedHosts": ["https://files.example.com"]}}, "egress/allowedHosts/0"),
        ({"egress": {"allowedHosts": ["minio.storage.svc:9000"]}}, "egress/allowedHosts/0"),
        ({"egress": {"allowedAddresses": ["files.example.com"]}}, "egress/allowedAddresses/0"),
        ({"certificateHours": 0}, "certificateHours"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name must be set"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(values: Values, told: str) -> None:
    done = run_helm("template", values)

    assert done.returncode != 0
    assert told in done.stderr


def test_the_chart_installs_the_generated_crds_and_keeps_them() -> None:
    found = [document for document in rendered({}) if document["kind"] == "CustomResourceDefinition"]

    specs = {document["metadata"]["name"]: document["spec"] for document in found}
    assert specs == {crd["metadata"]["name"]: crd["spec"] for crd in map(crdgen.crd, crdgen.KINDS)}
    assert all(document["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for document in found)


def test_crds_that_need_not_be_kept_are_not() -> None:
    found = [document for document in rendered({"crds": {"keep": False}}) if "annotations" in document["metadata"]]

    assert found == []


@pytest.fixture
def understood(monkeypatch: pytest.MonkeyPatch) -> Callable[[Values], Config]:
    """What the operator understands of the environment that the chart gives it."""

    def load(values: Values) -> Config:
        (container,) = the("Deployment", rendered(values))["spec"]["template"]["spec"]["containers"]
        for name in [name for name in os.environ if name.startswith("LORA_OPERATOR_")]:
            monkeypatch.delenv(name)
        for variable in container["env"]:
            # What comes from a field of the pod is its own business.
            monkeypatch.setenv(variable["name"], variable.get("value", "from-a-field"))
        unknown = {
            v["name"].removeprefix("LORA_OPERATOR_").lower() for v in container["env"]
        } - Config.model_fields.keys()
        assert unknown == set()
        return Config()

    return load


def test_the_operator_understands_its_environment(understood: Callable[[Values], Config]) -> None:
    config = understood(
        {
            "watchNamespaces": ["a", "b"],
            "runtimeImages": {"CPU": "localhost:5000/cpu", "NVIDIA": "localhost/cuda:dev", "AMD": "rocm@sha256:0"},
            "allowHostPath": True,
            "egress": {"allowedHosts": ["*.example.com"]},
            "logLevel": "WARNING",
        }
    )

    assert config.watch_namespaces == ("a", "b")
    assert config.egress == Egress(allowed_hosts=("*.example.com",))
    assert config.images == {
        AcceleratorType.CPU: "localhost:5000/cpu:0.1.0",
        AcceleratorType.NVIDIA: "localhost/cuda:dev",
        AcceleratorType.AMD: "rocm@sha256:0",
    }
    assert config.allow_host_path
    assert config.log_level == "WARNING"


def test_by_default_all_namespaces_are_watched_and_nodes_are_not_mounted(
    understood: Callable[[Values], Config],
) -> None:
    config = understood({})

    assert config.watch_namespaces == ()
    assert not config.allow_host_path
    assert not config.allow_host_access
    assert set(config.images) == {AcceleratorType.CPU, AcceleratorType.NVIDIA}


def test_the_pods_of_the_models_let_the_operator_in(understood: Callable[[Values], Config]) -> None:
    labels = the("Deployment", rendered({"podLabels": {"app.kubernetes.io/name": "x"}}))["spec"]["template"]["metadata"]

    assert understood({}).pod_labels.items() <= labels["labels"].items()


@pytest.mark.parametrize("values", [{}, {"test": {"model": "smol"}}])
def test_its_pods_are_allowed_where_the_restricted_standard_is_enforced(
    api_server: Cluster, operator_namespace: str, values: Values
) -> None:
    documents = rendered(values)
    pods = [document for document in documents if document["kind"] == "Pod"]
    template = the("Deployment", documents)["spec"]["template"]
    spec = template["spec"] | {"serviceAccountName": "default"}
    pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}, "spec": spec})

    for pod in pods:
        pod["metadata"]["namespace"] = operator_namespace
    dry_run(api_server, pods)

    unfit = pods[-1] | {"spec": {"containers": [{"name": "unfit", "image": "x"}]}}
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        dry_run(api_server, [unfit])


def test_those_that_stand_by_are_kept_apart_and_one_at_a_time_may_be_evicted() -> None:
    documents = rendered({"replicas": 2})
    spec = the("Deployment", documents)["spec"]
    budget = the("PodDisruptionBudget", documents)["spec"]
    spread = spec["template"]["spec"]["topologySpreadConstraints"]

    assert spec["replicas"] == 2
    assert budget == {"maxUnavailable": 1, "selector": spec["selector"]}
    assert [constraint["labelSelector"] for constraint in spread] == [spec["selector"]] * 2
    assert "PodDisruptionBudget" not in [document["kind"] for document in rendered({})]


def may(cluster: Cluster, namespace: str, verb: str, resource: str) -> bool:
    """Whether the operator's account may do this; see `resource_attributes`."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": ACCOUNT,
            "resourceAttributes": resource_attributes(resource) | {"namespace": namespace, "verb": verb},
        },
    }
    answer = json.loads(cluster.kubectl("create", "-f", "-", "--output=json", stdin=json.dumps(review)))
    return bool(answer["status"]["allowed"])


def resource_attributes(resource: str) -> dict[str, str]:
    """`group/plural` or `group/plural/subresource`, the core group being empty; `:name` for one object alone."""
    kind, _, name = resource.partition(":")
    group, plural, *subresource = kind.split("/")
    attributes = {"group": group, "resource": plural} | ({"name": name} if name else {})
    return attributes | {"subresource": subresource[0]} if subresource else attributes


LEASES = "coordination.k8s.io/leases"

ALLOWED = [
    ("watch", "lora-operator.io/loramodels"),
    ("patch", "lora-operator.io/loraadapters/status"),
    ("create", "/secrets"),
    ("patch", "/secrets:lora-runtime-tls"),
    ("patch", "apps/deployments"),
    ("create", "events.k8s.io/events"),
]
FORBIDDEN = [
    *((verb, "/secrets") for verb in ("get", "list", "watch", "update", "patch", "delete")),
    *((verb, "/secrets:lora-runtime-tls") for verb in ("get", "update", "delete")),
    ("patch", "/secrets:lora-operator-ca"),
    ("patch", "lora-operator.io/loramodels"),
    ("delete", "lora-operator.io/loraadapters"),
    ("delete", "apps/deployments"),
    ("delete", "/pods"),
    ("create", "/pods/exec"),
    ("create", "rbac.authorization.k8s.io/roles"),
]


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["default"]}], ids=["all namespaces", "one namespace"])
def test_the_operator_may_do_its_work_and_no_more(api_server: Cluster, operator_namespace: str, values: Values) -> None:
    roles = yaml.safe_dump_all([document for document in rendered(values) if "Role" in document["kind"]])
    api_server.kubectl("apply", "-f", "-", stdin=roles)
    try:
        denied = [call for call in ALLOWED if not may(api_server, "default", *call)]
        granted = [call for call in FORBIDDEN if may(api_server, "default", *call)]
        elsewhere = may(api_server, "kube-system", "list", "lora-operator.io/loramodels")
        own = may(api_server, operator_namespace, "create", "/secrets")
        leases = {
            (name, verb): may(api_server, operator_namespace, verb, f"{LEASES}:{name}")
            for name in ("lora-operator", "kube-scheduler", "")
            for verb in ("get", "watch", "create", "patch", "list", "update", "delete")
        }
    finally:
        api_server.kubectl("delete", "-f", "-", stdin=roles)

    assert (denied, granted) == ([], [])
    assert elsewhere == (not values)
    assert own
    assert {call for call, allowed in leases.items() if allowed} == {
        ("lora-operator", verb) for verb in ("get", "watch", "create", "patch")
    }


def test_the_plain_install_is_what_the_chart_says() -> None:
    assert render.TARGET.read_text() == render.rendered(Silence()), "run `make gen` and commit the result"


def test_the_plain_install_is_accepted(api_server: Cluster, operator_namespace: str) -> None:
    dry_run(api_server, list(yaml.safe_load_all(render.TARGET.read_text())))


SAMPLES = sorted((ROOT / "manifests" / "samples").rglob("*.yaml"))


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_a_sample_is_accepted(api_server: Cluster, sample: Path) -> None:
    places = ("MODEL_FOLDER", "ADAPTERS_FOLDER", "MIXTURE_FOLDER", "SITE_PACKAGES")
    folders = {name: f"/{name.lower().replace('_', '-')}" for name in places}
    documents = list(yaml.safe_load_all(string.Template(sample.read_text()).substitute(folders)))
    for document in documents:
        # The namespace is a sample itself, and a dry run does not make it.
        document["metadata"].pop("namespace", None)

    dry_run(api_server, documents)
