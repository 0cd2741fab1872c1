"""A real API server for the session: etcd, kube-apiserver and the controller manager; no node, so pods never run.

Objects live in a namespace per test. The CRDs are those in crds/, as committed.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

from local_cluster import Cluster, Mode, records
from local_cluster.layout import runtime_root
from support.custom_resources import Objects
from support.operated import Operator, Team

ROOT = Path(__file__).resolve().parents[2]
_PREFIX = "test-api-"
_OLDER = "test-upgrade-"


@pytest.fixture(scope="session")
def api_server() -> Iterator[Cluster]:
    """A cluster without a node, with the CRDs in it, for this run of the tests alone."""
    _remove_those_of_killed_runs(_PREFIX)
    with Cluster(f"{_PREFIX}{os.getpid()}", Mode.API_ONLY, audit=True) as cluster:
        cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        yield cluster


@pytest.fixture(scope="module")
def changing_api_server() -> Iterator[Cluster]:
    """Another one, without CRDs: what serves a whole cluster, a test puts there in the version that it is about."""
    _remove_those_of_killed_runs(_OLDER)
    with Cluster(f"{_OLDER}{os.getpid()}", Mode.API_ONLY) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def api_client(api_server: Cluster) -> Iterator[client.ApiClient]:
    """The official client, as the administrator."""
    with config.new_client_from_config(config_file=str(api_server.kubeconfig)) as made:
        yield made


@pytest.fixture(scope="session")
def dry(api_client: client.ApiClient) -> Objects:
    """For objects that are only tried: they need no namespace of their own."""
    return Objects(api_client, "default")


@pytest.fixture
def new_namespace(api_client: client.ApiClient) -> Iterator[Callable[[], str]]:
    """Makes namespaces for one test."""
    core = client.CoreV1Api(api_client)
    made: list[str] = []

    def make() -> str:
        made.append(f"test-{uuid.uuid4().hex[:10]}")
        core.create_namespace({"metadata": {"name": made[-1]}})
        return made[-1]

    yield make
    for name in made:
        core.delete_namespace(name)


@pytest.fixture
def namespace(new_namespace: Callable[[], str]) -> str:
    """A namespace for one test."""
    return new_namespace()


def _remove_those_of_killed_runs(prefix: str) -> None:
    for record in records.read_all(runtime_root()):
        pid = record.name.removeprefix(prefix)
        if record.name.startswith(prefix) and not Path("/proc", pid).exists():
            Cluster(record.name, record.mode).down()


@pytest.fixture
def team(api_client: client.ApiClient, namespace: str) -> Team:
    """Who has the namespace, with the words of a user."""
    return Team(api_client, namespace)


@pytest.fixture
def operator(api_server: Cluster, namespace: str, tmp_path: Path) -> Operator:
    """The operator of the namespace, which the test starts."""
    return Operator(api_server, namespace, tmp_path)
