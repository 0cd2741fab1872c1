"""The Secret with the pods' certificates: who shares it, and how it changes while pods serve."""

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from kubernetes import client

from local_cluster import Cluster
from lora_operator.domain import render
from lora_operator.domain.render.certificate import certificate_volume
from support.custom_resources import ADAPTER, MODEL, mutated
from support.mounted_secret import write_mounted
from support.operated import Operator, Team, eventually

pytestmark = pytest.mark.apiserver

LIFETIME_SECONDS = 6.0


@pytest.fixture
def team(api_server: Cluster, api_client: client.ApiClient, namespace: str, tmp_path: Path) -> Iterator[Team]:
    operator = Operator(api_server, namespace, tmp_path)
    operator.environment["LORA_OPERATOR_CERTIFICATE_HOURS"] = str(LIFETIME_SECONDS / 3600)
    with operator.running():
        yield Team(api_client, namespace)


def serial(team: Team, model: str) -> int | None:
    secret = team.certificates()
    found = None if secret is None else secret.data.get(f"{model}.tls.crt")
    return None if found is None else x509.load_pem_x509_certificate(base64.b64decode(found)).serial_number


@contextmanager
def kubelet(team: Team, folder: Path) -> Iterator[None]:
    """Brings what the Secret holds into the pod's folder, as often as it changes."""
    done = threading.Event()

    def bring() -> None:
        version = None
        while not done.wait(0.1):
            secret = team.core.read_namespaced_secret(render.CERTIFICATES, team.namespace)
            if secret.metadata.resource_version != version:
                items = certificate_volume("smol")["items"]
                write_mounted(folder, {i["path"]: base64.b64decode(secret.data[i["key"]]) for i in items})
                version = secret.metadata.resource_version

    thread = threading.Thread(target=bring)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_the_models_of_a_namespace_share_a_secret_that_goes_with_the_last_of_them(team: Team) -> None:
    team.create(MODEL)
    team.create(mutated(MODEL, {"metadata.name": "other"}))
    eventually("both certificates", lambda: serial(team, "smol") and serial(team, "other"))
    secret = team.certificates()
    assert secret is not None
    assert sorted(owner.name for owner in secret.metadata.owner_references) == ["other", "smol"]
    team.delete("loramodels", "other")
    before = serial(team, "smol")
    eventually("the other model goes on", lambda: serial(team, "smol") not in (None, before))
    team.delete("loramodels", "smol")
    eventually("the Secret is gone", lambda: team.certificates() is None)


def test_certificates_are_replaced_again_and_again_while_the_pods_stay_within_reach(team: Team, tmp_path: Path) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    mounted = tmp_path / "mounted"
    [runtime] = team.runtimes(mounted, None)
    with kubelet(team, mounted), runtime:
        team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        serials = set()
        until = time.monotonic() + 2.5 * LIFETIME_SECONDS
        while time.monotonic() < until:
            serials.add(serial(team, "smol"))
            assert team.condition("loraadapters", "pirate", "Ready") == ("True", "Serving")
            time.sleep(0.1)
        assert len(serials) >= 3
        team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
        eventually("the new weight", lambda: team.status("loraadapters", "pirate")["observedGeneration"] == 2)
        team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
