"""Rules of a whole node: pods run, are reached and looked into; a killed node heals; nothing stays behind."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from local_cluster import Cluster, ClusterError
from local_cluster.images import write_scratch_image
from local_cluster.layout import cache_root

pytestmark = pytest.mark.cluster

PROBE_IMAGE = "localhost/probe:1"
NAME = "node-test"
SPEC_WITH_A_MOUNT: dict[str, object] = {
    "containers": [
        {
            "name": "probe",
            "image": PROBE_IMAGE,
            "args": ["serve", "hello"],
            "volumeMounts": [{"name": "memory", "mountPath": "/memory"}],
        }
    ],
    "volumes": [{"name": "memory", "emptyDir": {"medium": "Memory"}}],
}


@pytest.fixture(scope="module")
def probe_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe")
    source = Path(__file__).parent / "probe"
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -trimpath"}
    subprocess.run(["go", "build", "-o", folder / "probe", "."], cwd=source, env=environment, check=True, timeout=300)
    write_scratch_image(folder / "probe.tar", PROBE_IMAGE, {"/probe": folder / "probe"}, ["/probe"])
    return folder / "probe.tar"


@pytest.fixture(scope="module")
def node(probe_archive: Path) -> Iterator[Cluster]:
    cluster = Cluster(NAME)
    cluster.down()
    with cluster:
        assert cluster.load_image(probe_archive) == [PROBE_IMAGE]
        yield cluster


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    folder.chmod(0o755)
    (folder / "note").write_text("from the machine")
    (folder / "note").chmod(0o644)
    return folder


@pytest.fixture(scope="module")
def pod(node: Cluster, shared_folder: Path) -> str:
    """A pod as locked down as the product's own, behind a Service."""
    container = {
        "name": "probe",
        "image": PROBE_IMAGE,
        "args": ["serve", "hello"],
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "memory", "mountPath": "/dev/shm"},
            {"name": "shared", "mountPath": "/shared", "readOnly": True},
        ],
        "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1},
    }
    spec = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [
            {"name": "memory", "emptyDir": {"medium": "Memory"}},
            {"name": "shared", "hostPath": {"path": str(shared_folder)}},
        ],
    }
    labels = {"app": "probe"}
    apply(node, {"kind": "Pod", "metadata": {"name": "probe", "labels": labels}, "spec": spec})
    apply(
        node,
        {
            "kind": "Service",
            "metadata": {"name": "probe"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    node.kubectl("wait", "--for=condition=Ready", "pod/probe", "--timeout=90s")
    return "probe"


def apply(cluster: Cluster, manifest: dict[str, object]) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1"} | manifest))


def eventually(check: Callable[[], bool], seconds: float = 90) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.2)
    return False


def answers(url: str, text: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).text == text
    except httpx.TransportError:
        return False


def service_url(cluster: Cluster) -> str:
    return f"http://{cluster.kubectl('get', 'service', 'probe', '-o', 'jsonpath={.spec.clusterIP}')}"


def test_logs_and_exec_reach_into_a_pod(node: Cluster, pod: str) -> None:
    assert node.kubectl("logs", pod) == "serving hello\n"
    assert node.kubectl("exec", pod, "--", "/probe", "uid") == "1000"


def test_a_pod_reads_a_folder_of_the_machine(node: Cluster, pod: str) -> None:
    assert node.kubectl("exec", pod, "--", "/probe", "read", "/shared/note") == "from the machine"


def test_a_pod_writes_to_its_memory_volume_and_not_to_its_root(node: Cluster, pod: str) -> None:
    node.kubectl("exec", pod, "--", "/probe", "write", "/dev/shm/file")
    with pytest.raises(ClusterError, match="read-only file system"):
        node.kubectl("exec", pod, "--", "/probe", "write", "/file")


def test_a_service_answers_from_the_machine_and_from_its_own_pod(node: Cluster, pod: str) -> None:
    url = service_url(node)
    assert eventually(lambda: answers(url, "hello"))
    assert node.kubectl("exec", pod, "--", "/probe", "fetch", url) == "hello"


def test_a_pod_reaches_a_server_outside_the_cluster(node: Cluster, pod: str, shared_folder: Path) -> None:
    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(shared_folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer((node.outside_address, 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{node.outside_address}:{server.server_port}/note"
        assert node.kubectl("exec", pod, "--", "/probe", "fetch", url) == "from the machine"
        server.shutdown()


def test_up_again_changes_nothing(node: Cluster) -> None:
    assert not node.up()


def test_a_node_whose_processes_were_all_killed_comes_back_with_its_objects(node: Cluster, pod: str) -> None:
    kill_all(NAME)
    assert not node.status().ready

    assert node.up()

    assert node.status().ready
    url = service_url(node)
    assert eventually(lambda: answers(url, "hello"))
    assert eventually(lambda: "serving hello" in node.kubectl("logs", pod))


def test_of_a_node_half_made_then_healed_then_killed_down_leaves_nothing(probe_archive: Path) -> None:
    name = "traces-test"
    cluster = Cluster(name)
    cluster.down()
    before = traces(name)
    subprocess.run(["ip", "netns", "add", f"lora-{name}"], check=True)
    state_folder(name).mkdir(parents=True)
    (state_folder(name) / "junk").write_text("left by a killed run")

    cluster.up()
    cluster.load_image(probe_archive)
    apply(cluster, {"kind": "Pod", "metadata": {"name": "probe"}, "spec": SPEC_WITH_A_MOUNT})
    cluster.kubectl("wait", "--for=condition=Ready", "pod/probe", "--timeout=90s")
    assert len(traces(name) - before) > 10
    kill_all(name)
    assert cluster.down()

    assert traces(name) - before == frozenset()
    assert not cluster.down()


def kill_all(name: str) -> None:
    for pid in processes_of(name):
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not processes_of(name))


def state_folder(name: str) -> Path:
    return cache_root() / "clusters" / name


def processes_of(name: str) -> set[int]:
    """Found by their cgroup, environment and command line, without asking the tool under test."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                seen = (entry / "environ").read_bytes() + (entry / "cgroup").read_bytes()
            except OSError:
                continue
            if f"/local-cluster/{name}\0".encode() in seen or f"/lora-{name}/".encode() in seen:
                found.add(int(entry.name))
    return found


def traces(name: str) -> frozenset[str]:
    """What of a cluster can be seen on the machine, and what it shares with others there."""

    def lines(*command: str) -> list[str]:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.splitlines()

    shared = ("/run/local-cluster", "/run/netns", "/run/containerd/s", "/var/log/containers", "/var/lib/cni/results")
    found = [f"{folder}/{file}" for folder in shared if Path(folder).exists() for file in os.listdir(folder)]
    found += [f"process {pid}" for pid in processes_of(name)]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/lora-{name}")]
    found += [str(path) for path in [state_folder(name)] if path.exists()]
    found += [line.split(":")[1] for line in lines("ip", "-o", "link", "show")]
    found += lines("ip", "route", "show")
    found += [line for line in lines("iptables-save") if line.startswith((":", "-"))]
    return frozenset(found)
