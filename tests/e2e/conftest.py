"""One real node with the operator from its image and a tiny model in two pods with real vLLM."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_cluster import binaries, preflight
from local_cluster.cluster import Cluster
from local_cluster.errors import ClusterError
from local_cluster.layout import cache_root
from local_cluster.progress import Terminal
from lora_demo import installation
from lora_demo.place import OPERATOR_NAMESPACE, ROOT, site_packages
from lora_demo.preparation import TWO_PODS
from support.hub import Hub, running_hub
from support.models import greedy, tiny_adapter, tiny_base

NAMESPACE = "e2e"
MODEL = "tiny"
REPLICAS = 2
PROMPT = (17, 42, 99, 7, 250, 301, 12, 5)
TOKENS = 12
READY_SECONDS = 300.0
CHANGE_SECONDS = 60.0

ACCOUNT = f"system:serviceaccount:{OPERATOR_NAMESPACE}:lora-operator"
"""The operator's."""
TOKEN_SECRET = "hub-token"

Json = dict[str, Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # It looks back on all the others.
    items.sort(key=lambda item: Path(item.path) == Path(__file__).with_name("test_least_privilege.py"))
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(1200))


@dataclass
class World:
    """The cluster and its folders, with the words of a user: apply, patch, delete, ask."""

    cluster: Cluster
    folder: Path
    hub: Hub

    # -- what a user does -----------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", NAMESPACE, *arguments, stdin=stdin)

    def apply(self, *objects: Json) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def patch(self, name: str, spec: Json) -> None:
        self.kubectl("patch", "loraadapter", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def delete(self, *names: str) -> None:
        self.kubectl("delete", "loraadapter", "--ignore-not-found", *names)

    def complete(self, model: str, *, pod: str | None = None, connects: int = 1, **options: object) -> httpx.Response:
        """One greedy completion, through the Service or straight at a pod; connects anew when refused, ever more slowly."""
        body = {
            "model": model,
            "prompt": list(PROMPT),
            "max_tokens": TOKENS,
            "temperature": 0,
            "ignore_eos": True,
            "return_token_ids": True,
            **options,
        }
        address = self.pod_ips()[pod] if pod is not None else self.service_ip()
        with httpx.Client(transport=httpx.HTTPTransport(retries=connects - 1), timeout=60) as http:
            return http.post(f"http://{address}:8000/v1/completions", json=body)

    def tokens(self, model: str, *, pod: str | None = None) -> list[int]:
        answer = self.complete(model, pod=pod)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["choices"][0]["token_ids"])

    # -- what a user sees -----------------------------------------------------------------------------------------

    def get(self, kind: str, name: str) -> Json:
        found: Json = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def condition(self, name: str, kind: str, *, of: str = "loraadapter") -> Json:
        status = self.get(of, name).get("status", {})
        return next((c for c in status.get("conditions", ()) if c["type"] == kind), {})

    def ready(self, *names: str) -> None:
        """Waits until each is Ready for its current generation."""
        for name in names:
            self.kubectl("wait", "--for=condition=Ready", f"loraadapter/{name}", f"--timeout={CHANGE_SECONDS:.0f}s")

    @contextmanager
    def watching(self, name: str) -> Iterator[list[tuple[str, str]]]:
        """Every state an adapter goes through, as a watch tells it: (generation, "status observedGeneration" of Ready)."""
        ready = '{.status.conditions[?(@.type=="Ready")].%s}'
        columns = f'{{.metadata.generation}},{ready % "status"} {ready % "observedGeneration"}{{"\\n"}}'
        kubectl = binaries.ensure(["kubectl"], cache_root(), Terminal())["kubectl"]
        seen: list[tuple[str, str]] = []
        with subprocess.Popen(
            [kubectl, f"--kubeconfig={self.cluster.kubeconfig}", "-n", NAMESPACE, "get", "loraadapter", name, "--watch",
             f"--output=jsonpath={columns}"],
            stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            lines = process.stdout

            def follow() -> None:
                for line in lines:
                    generation, _, readiness = line.strip().partition(",")
                    seen.append((generation, readiness))

            reader = threading.Thread(target=follow)
            reader.start()
            self.until("the watch to begin", lambda: bool(seen))
            try:
                yield seen
            finally:
                process.terminate()
                reader.join(10)

    def until(self, what: str, holds: Callable[[], bool], seconds: float = CHANGE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}\n{self.describe()}"
            time.sleep(0.1)

    def pods(self) -> list[Json]:
        listed: Json = json.loads(self.kubectl("get", "pods", "-l", f"lora-operator.io/model={MODEL}", "-o", "json"))
        return [pod for pod in listed["items"] if "deletionTimestamp" not in pod["metadata"]]

    def pod_ips(self) -> dict[str, str]:
        return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in self.pods() if "podIP" in pod["status"]}

    def restarts(self) -> dict[str, int]:
        return {
            pod["metadata"]["name"]: sum(c["restartCount"] for c in pod["status"].get("containerStatuses", ()))
            for pod in self.pods()
        }

    def service_ip(self) -> str:
        return self.kubectl("get", "service", MODEL, "-o", "jsonpath={.spec.clusterIP}")

    def all_pods_ready(self, replicas: int = REPLICAS) -> bool:
        states = [
            condition["status"]
            for pod in self.pods()
            for condition in pod["status"].get("conditions", ())
            if condition["type"] == "Ready"
        ]
        return states == ["True"] * replicas

    def describe(self) -> str:
        return self.kubectl("get", "loramodels,loraadapters,pods", "-o", "wide")

    # -- what is true ---------------------------------------------------------------------------------------------

    def adapter_files(self, name: str, **options: Any) -> str:
        """Makes a seeded adapter in the volume; returns its folder there."""
        base = self.folder / "models" / MODEL
        made = tiny_adapter(self.folder / "adapters" / name, base, **options)
        open_to_all(made)
        return name

    def reference(self, *parts: tuple[str, float]) -> list[int]:
        """What PEFT in float32 answers."""
        base = self.folder / "models" / MODEL
        return greedy(base, [(self.folder / "adapters" / name, weight) for name, weight in parts], PROMPT, TOKENS)


def an_adapter(name: str, path: str, **spec: object) -> Json:
    return {
        "apiVersion": "lora-operator.io/v1alpha1",
        "kind": "LoRAAdapter",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"modelRef": {"name": MODEL}, "source": {"volume": {"name": "adapters", "path": path}}, **spec},
    }


def a_blend(name: str, members: Sequence[tuple[str, float]], **spec: object) -> Json:
    made = an_adapter(name, "", **spec)
    del made["spec"]["source"]
    made["spec"]["blend"] = {"members": [{"adapterRef": {"name": m}, "weight": w} for m, w in members]}
    return made


def a_model(folder: Path, hub: Hub) -> Json:
    return {
        "apiVersion": "lora-operator.io/v1alpha1",
        "kind": "LoRAModel",
        "metadata": {"name": MODEL, "namespace": NAMESPACE},
        "spec": {
            "source": {"volume": {"name": "models", "path": MODEL}},
            "replicas": REPLICAS,
            "engine": {"maxModelLen": 512, "extraArgs": ["--max-num-seqs=16", "--kv-cache-memory-bytes=134217728"]},
            "adapters": {"maxRank": 32, "maxResident": 4, "maxCached": 16},
            "credentials": [{"secretRef": {"name": TOKEN_SECRET}}],
            "volumes": [
                {"name": "models", "hostPath": {"path": str(folder / "models")}},
                {"name": "adapters", "hostPath": {"path": str(folder / "adapters")}},
            ],
            "podTemplate": borrowing_the_environment({"OMP_NUM_THREADS": "1", "HF_ENDPOINT": hub.endpoint}),
        },
    }


def borrowing_the_environment(variables: dict[str, str]) -> Json:
    """A pod template for the thin runtime image, which finds vLLM in a folder of the node."""
    mount = {"name": "environment", "mountPath": "/opt/env/lib/python3.11/site-packages", "readOnly": True}
    container = {
        "name": "runtime",
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "volumeMounts": [mount],
    }
    volume = {"name": "environment", "hostPath": {"path": str(site_packages())}}
    return {"spec": {"volumes": [volume], "containers": [container]}}


def a_hub_adapter(name: str, repo: str, **source: object) -> Json:
    made = an_adapter(name, "")
    made["spec"]["source"] = {"huggingFace": {"repo": repo}, **source}
    return made


def a_token(token: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": TOKEN_SECRET, "namespace": NAMESPACE},
        "stringData": {"token": token},
    }


def may_be_owned(cluster: Cluster) -> bool:
    """Whether the operator may create what belongs to a LoRAModel.

    The API server learns only every 30 s which kinds can own others, and until then refuses such objects with 403: the
    operator would try again, but nothing that it is refused shall be in the audit log.
    """
    owner = {"apiVersion": "lora-operator.io/v1alpha1", "kind": "LoRAModel", "name": MODEL, "uid": "none-yet"}
    child = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "owned",
            "namespace": NAMESPACE,
            "ownerReferences": [owner | {"blockOwnerDeletion": True}],
        },
    }
    try:
        cluster.kubectl("create", "--dry-run=server", f"--as={ACCOUNT}", "-f", "-", stdin=json.dumps(child))
    except ClusterError as refusal:
        if "cannot find RESTMapping" in str(refusal):
            return False
        raise
    return True


def open_to_all(folder: Path) -> None:
    """Pods run as nobody in particular."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def image(recipe: str) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "local_images", recipe], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.fail("the end-to-end tests bring up a real node and need root")
    progress = Terminal()
    preflight.check_room(TWO_PODS, cache_root())
    with tempfile.TemporaryDirectory(prefix="lora-e2e-", dir="/var/tmp") as name:
        folder = Path(name)
        tiny_base(folder / "models" / MODEL)
        (folder / "adapters").mkdir()
        open_to_all(folder)
        cluster = Cluster("e2e", audit=True, progress=progress)
        cluster.down()
        try:
            cluster.up()
            installation.install(cluster, (image("operator"), image("runtime-thin")), progress)
            with running_hub(cluster.outside_address) as hub:
                world = World(cluster, folder, hub)
                cluster.kubectl("create", "namespace", NAMESPACE)
                world.until("the API server to let a LoRAModel own others", lambda: may_be_owned(cluster))
                world.adapter_files("a", seed=1)
                world.adapter_files("b", seed=2, r=4, target_modules=("k_proj", "o_proj", "down_proj"))
                world.apply(a_model(folder, hub))
                world.kubectl("wait", "--for=condition=Ready", f"loramodel/{MODEL}", f"--timeout={READY_SECONDS:.0f}s")
                yield world
        finally:
            if not os.environ.get("LORA_KEEP"):
                cluster.down()


@pytest.fixture
def clean(world: World) -> Iterator[World]:
    """The world, which is without adapters again afterwards."""
    yield world
    world.delete("--all")
    world.until("all names to be gone", lambda: served_names(world) == {MODEL})


def served_names(world: World) -> set[str]:
    """What the pods list, all of them together."""
    lists = [httpx.get(f"http://{ip}:8000/v1/models", timeout=10).json() for ip in world.pod_ips().values()]
    return {card["id"] for listed in lists for card in listed["data"]}
