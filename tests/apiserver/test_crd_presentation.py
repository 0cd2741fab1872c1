"""What `kubectl` shows of the custom resources: columns, defaults, scale, selection and explanations."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local_cluster import Cluster
from lora_api import labels
from support.custom_resources import ADAPTER, MODEL, Manifest, mutated

pytestmark = pytest.mark.apiserver

SINCE = "2026-01-01T00:00:00Z"
READY = [
    {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 1,
        "lastTransitionTime": SINCE,
        "reason": "Serving",
        "message": "served by 2 of 2 pods",
    }
]


class Kubectl:
    """kubectl in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """What the command printed."""
        return self._cluster.kubectl("--namespace", self._namespace, *arguments, stdin=stdin)

    def create(self, manifest: Manifest, status: Manifest | None = None) -> None:
        """Creates the object, and then its status."""
        self("create", "-f", "-", stdin=json.dumps(manifest))
        if status is not None:
            name = f"{manifest['kind']}/{manifest['metadata']['name']}"
            self("patch", name, "--subresource=status", "--type=merge", "--patch", json.dumps({"status": status}))

    def stored(self, name: str) -> dict[str, Any]:
        """The object as the API server gives it."""
        found: dict[str, Any] = json.loads(self("get", name, "--output=json"))
        return found

    def table(self, *arguments: str) -> tuple[list[str], list[str]]:
        """Headings and first row of a printed table."""
        heading, row, *_ = (line.split("  ") for line in self("get", *arguments).splitlines())
        return [cell.strip() for cell in heading if cell.strip()], [cell.strip() for cell in row if cell.strip()]


@pytest.fixture
def kubectl(api_server: Cluster, namespace: str) -> Kubectl:
    return Kubectl(api_server, namespace)


def test_an_adapter_is_one_line_that_says_whether_it_serves(kubectl: Kubectl) -> None:
    status = {"conditions": READY, "revision": "3f9c2d11", "summary": {"loaded": "2/2"}}
    kubectl.create(mutated(ADAPTER, {"spec.weight": 0.7}), status)

    heading, row = kubectl.table("loraadapters")

    assert heading == ["NAME", "MODEL", "WEIGHT", "REVISION", "LOADED", "READY", "REASON", "AGE"]
    assert row[:-1] == ["pirate", "smol", "0.7", "3f9c2d11", "2/2", "True", "Serving"]


def test_a_wide_adapter_also_says_why_and_what(kubectl: Kubectl) -> None:
    digest = f"sha256:{'a' * 64}"
    status = {"conditions": READY, "digest": digest, "rank": 8, "keptEnergy": 0.9312}
    status |= {"sizeBytes": 921600, "memory": {"hostBytes": 460800}}
    kubectl.create(ADAPTER, status)

    heading, row = kubectl.table("la", "--output=wide")

    assert heading[-6:] == ["MESSAGE", "DIGEST", "RANK", "KEPT", "SIZE", "HOST"]
    assert row[-6:] == ["served by 2 of 2 pods", digest, "8", "0.9312", "921600", "460800"]


def test_a_model_is_one_line_that_says_whether_it_serves(kubectl: Kubectl) -> None:
    summary = {"source": "team/smol@main", "replicas": "2/2", "adapters": "0/0", "mixture": "4 experts, untrained"}
    kubectl.create(MODEL, {"conditions": READY, "summary": summary, "url": "http://smol:8000"})

    heading, row = kubectl.table("lm", "--output=wide")

    columns = ["NAME", "SOURCE", "REPLICAS", "ADAPTERS", "MIXTURE", "READY", "REASON", "AGE", "MESSAGE", "URL"]
    assert heading == columns
    assert row[:7] == ["smol", "team/smol@main", "2/2", "0/0", "4 experts, untrained", "True", "Serving"]
    assert row[8:] == ["served by 2 of 2 pods", "http://smol:8000"]


def test_both_kinds_are_listed_by_their_category(kubectl: Kubectl) -> None:
    kubectl.create(MODEL)
    kubectl.create(ADAPTER)

    names = kubectl("get", "lora", "--output=name").split()

    assert sorted(names) == ["loraadapter.lora-operator.io/pirate", "loramodel.lora-operator.io/smol"]


def test_the_defaults_of_a_model_are_stored_with_it(kubectl: Kubectl) -> None:
    kubectl.create(MODEL)

    assert kubectl.stored("lm/smol")["spec"] == {
        "source": {"huggingFace": {"repo": "team/smol", "revision": "main"}},
        "replicas": 1,
        "accelerator": {"type": "CPU", "count": 1},
        "engine": {"dtype": "Auto", "tensorParallelSize": 1, "extraArgs": []},
        "adapters": {"maxRank": 64, "maxResident": 8, "maxCached": 64},
        "credentials": [],
        "volumes": [],
        "reachableFrom": "Everywhere",
        "cache": {},
    }


def test_the_defaults_of_an_adapter_are_stored_with_it_and_a_status_is_not(kubectl: Kubectl) -> None:
    kubectl.create(ADAPTER)

    stored = kubectl.stored("la/pirate")

    assert stored["spec"] == {
        "modelRef": {"name": "smol"},
        "source": {"huggingFace": {"repo": "team/pirate", "revision": "main"}},
        "weight": 1,
        "precision": "Auto",
        "update": {"strategy": "Together", "timeoutSeconds": 120},
    }
    assert "status" not in stored


def test_what_a_pod_template_says_is_kept_as_it_is(kubectl: Kubectl) -> None:
    template = {"spec": {"nodeSelector": {"gpu": "h100"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}}
    kubectl.create(mutated(MODEL, {"spec.podTemplate": template, "spec.resources": {"limits": {"cpu": 2}}}))

    spec = kubectl.stored("lm/smol")["spec"]

    assert spec["podTemplate"] == template
    assert spec["resources"] == {"limits": {"cpu": 2}}


def test_a_status_can_only_be_written_through_its_subresource(kubectl: Kubectl) -> None:
    kubectl.create(ADAPTER)

    kubectl("patch", "la/pirate", "--type=merge", "--patch", '{"status":{"revision":"00000000"}}')

    assert "status" not in kubectl.stored("la/pirate")


def test_the_adapters_of_a_model_are_selected_by_field(kubectl: Kubectl) -> None:
    kubectl.create(ADAPTER)
    kubectl.create(mutated(ADAPTER, {"metadata.name": "formal", "spec.modelRef.name": "large"}))

    names = kubectl("get", "la", "--field-selector=spec.modelRef.name=large", "--output=name").split()

    assert names == ["loraadapter.lora-operator.io/formal"]


def test_a_model_is_scaled_like_a_deployment(kubectl: Kubectl) -> None:
    kubectl.create(MODEL, {"replicas": 1, "selector": "lora-operator.io/model=smol"})

    kubectl("scale", "lm/smol", "--replicas=3")
    scale = json.loads(kubectl("get", "lm/smol", "--subresource=scale", "--output=json"))

    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 1, "selector": "lora-operator.io/model=smol"}


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("loraadapter", "One name that clients can put in `model=`"),
        ("la.spec.weight", "Editable live"),
        ("loraadapter.spec.weight", "From -10 to 10."),
        ("la.spec.blend.members", "A change of a member re-makes the blend"),
        ("loramodel", "A base model and the pods that serve it"),
        ("lm.spec.adapters", "A change restarts the pods, one by one"),
    ],
)
def test_kubectl_explains_what_a_field_means(kubectl: Kubectl, field: str, told: str) -> None:
    explained = " ".join(kubectl("explain", field).split())

    assert told in explained


@pytest.mark.parametrize("kind", ["LoRAModel", "LoRAAdapter"])
def test_kubectl_lists_every_field_and_has_words_for_each(kubectl: Kubectl, kind: str) -> None:
    published = json.loads(kubectl("get", "--raw", f"/openapi/v3/apis/{labels.API_VERSION}"))
    found = next(
        schema
        for name, schema in published["components"]["schemas"].items()
        if name.endswith(f".{kind}") and "x-kubernetes-group-version-kind" in schema
    )
    fields = {path: field for part in ("spec", "status") for path, field in _fields(found["properties"][part], part)}

    assert [path for path, field in fields.items() if not field.get("description")] == []
    listed = kubectl("explain", kind.lower(), "--recursive").split("FIELDS:")[1]
    assert fields.keys() - set(_paths(listed)) == set()


def _fields(schema: Manifest, path: str) -> Iterator[tuple[str, Manifest]]:
    """Every named field of a schema, with its path as `kubectl explain` takes it."""
    yield path, schema
    inner = schema.get("items", schema)
    for name, field in inner.get("properties", {}).items():
        yield from _fields(field, f"{path}.{name}")


def _paths(listed: str) -> Iterator[str]:
    """The path of each line of a list that is indented as its fields are nested."""
    above: list[tuple[int, str]] = []
    for line in filter(str.strip, listed.splitlines()):
        depth, name = len(line) - len(line.lstrip()), line.split()[0]
        above = [(d, n) for d, n in above if d < depth] + [(depth, name)]
        yield ".".join(n for _, n in above)
