"""The operator as a process against a real API server, with stand-ins for the pods: the main stories."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lora_api.runtime_api import AdapterFacts, Desired, ResolveRequest, RevisionSpec
from lora_api.v1alpha1.conditions import Reason
from lora_operator.domain import render
from lora_operator.reconcile.reading import read_desired
from lora_runtime.adapters.errors import not_fetched
from lora_runtime.store.versions import Published
from lora_runtime.workshop import Progress
from support.custom_resources import ADAPTER, MODEL, mutated
from support.operated import Operator, Team, eventually
from support.stand_in import EverySourceExists

pytestmark = pytest.mark.apiserver

OTHER_SOURCE = {"huggingFace": {"repo": "team/other"}}


class Workshop(EverySourceExists):
    """Makes nothing while it is closed, and finds no source whose name has `missing` in it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        if "missing" in request.source.describe():
            raise not_fetched(Reason.SOURCE_NOT_FOUND, "there is no such repository", retryable=False)
        return await super().resolve(request, progress)

    async def make(self, spec: RevisionSpec, progress: Progress) -> Published:
        while not self.open.is_set():  # noqa: ASYNC110  # opened by another thread
            await asyncio.sleep(0.02)
        return await super().make(spec, progress)


@pytest.fixture
def running(operator: Operator) -> Iterator[None]:
    with operator.running():
        yield


def test_a_model_gets_its_children_and_the_adapters_wait_for_a_pod(team: Team, running: None) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    deployment = eventually("the Deployment", lambda: team.find(team.apps.read_namespaced_deployment))
    [owner] = deployment.metadata.owner_references
    assert (owner.kind, owner.name, owner.controller) == ("LoRAModel", "smol", True)
    eventually("the Service", lambda: team.find(team.core.read_namespaced_service))
    secret = eventually("the certificate", team.certificates)
    assert set(secret.data) == {"ca.crt", "smol.tls.crt", "smol.tls.key"}
    team.comes_to("loraadapters", "pirate", "Accepted", ("True", "Accepted"))
    team.comes_to("loraadapters", "pirate", "Ready", ("False", "ModelNotAvailable"))
    assert team.condition("loramodels", "smol", "Ready")[0] == "False"


def test_metrics_say_what_the_conditions_say_and_what_was_asked_of_the_api_server(
    team: Team, operator: Operator, running: None
) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    team.comes_to("loraadapters", "pirate", "Ready", ("False", "ModelNotAvailable"))

    def told(*words: str) -> bool:
        return any(all(word in line for word in words) for line in operator.metrics())

    where = (f'namespace="{team.namespace}"', 'model="smol"')
    eventually(
        "the adapter is counted", lambda: told("lora_operator_adapters{", *where, 'reason="ModelNotAvailable"} 1.0')
    )
    assert told("lora_operator_model_info{", *where, 'ready="False"')
    assert told("lora_operator_api_requests_total{", 'code="201"', 'kind="Deployment"', 'method="PATCH"')
    assert told('lora_operator_actions_total{action="ApplyChild",outcome="ok"}')
    assert told("lora_operator_leader 1.0")


def test_an_adapter_is_served_by_a_pod_follows_its_weight_and_leaves(team: Team, running: None, tmp_path: Path) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    [runtime] = team.runtimes(tmp_path, None)
    with runtime:
        first = team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        assert [adapter.name for adapter in runtime.documents[-1].adapters] == ["pirate"]
        assert first["summary"]["loaded"] == "1/1"

        team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
        second = serves_another_revision_than(team, first["revision"])
        assert second["digest"] == first["digest"]
        assert len(runtime.questions) == 1, "a weight is no reason to resolve the source again"

        team.delete("loraadapters", "pirate")
        eventually("the adapter leaves the engine", lambda: not runtime.engine.loaded)


def test_a_pod_that_stops_answering_is_named(team: Team, running: None, tmp_path: Path) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    [runtime] = team.runtimes(tmp_path, None)
    with runtime:
        team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
    status = team.comes_to("loraadapters", "pirate", "Ready", ("False", "PodUnreachable"))
    [failure] = status["failures"]
    assert failure["reason"] == "PodUnreachable"


def test_one_slow_pod_holds_an_update_that_is_for_all_together_and_is_named(
    team: Team, running: None, tmp_path: Path
) -> None:
    team.create(mutated(MODEL, {"spec.replicas": 2}))
    team.create(mutated(ADAPTER, {"spec.update.timeoutSeconds": 2}))
    workshop = Workshop()
    quick, slow = team.runtimes(tmp_path, None, workshop)
    with quick, slow:
        first = team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        workshop.open.clear()
        team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
        held = team.comes_to("loraadapters", "pirate", "Ready", ("False", "UpdateHeld"))
        assert [failure["pod"] for failure in held["failures"]] == [team.pods()[1].metadata.name]
        assert held["revision"] == first["revision"]
        assert team.condition("loraadapters", "pirate", "Available") == ("True", "Serving")
        for runtime in (quick, slow):
            assert runtime.engine.published["pirate"].engine_name.startswith(f"pirate@{first['revision']}.")

        workshop.open.set()
        second = serves_another_revision_than(team, first["revision"])
        for runtime in (quick, slow):
            assert runtime.engine.published["pirate"].engine_name.startswith(f"pirate@{second['revision']}.")


def test_an_operator_that_starts_again_asks_for_nothing_that_it_knew(
    team: Team, operator: Operator, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as pod:
        with operator.running():
            team.create(MODEL)
            team.create(ADAPTER)
            [runtime] = team.runtimes(tmp_path, None)
            pod.enter_context(runtime)
            first = team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        operator.mount_ca(team.core.read_namespaced_secret("lora-operator-ca", team.namespace).data)
        with operator.running():
            team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
            serves_another_revision_than(team, first["revision"])
    assert len(runtime.questions) == 1


def test_an_adapter_created_anew_is_not_available_because_of_the_one_that_had_its_name(
    team: Team, running: None, tmp_path: Path
) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    workshop = Workshop()
    [runtime] = team.runtimes(tmp_path, workshop)
    with runtime:
        old = team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        workshop.open.clear()
        team.delete("loraadapters", "pirate")
        team.create(mutated(ADAPTER, {"spec.source": OTHER_SOURCE}))

        def resolved() -> bool:
            assert team.condition("loraadapters", "pirate", "Available")[0] != "True"
            return team.condition("loraadapters", "pirate", "Fetched") == ("True", "Resolved")

        eventually("the new source is resolved", resolved)
        eventually("the old revision leaves the engine", lambda: not runtime.engine.loaded)
        assert team.condition("loraadapters", "pirate", "Available")[0] == "False"
        workshop.open.set()
        new = team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        assert new["digest"] != old["digest"]


def test_a_served_revision_outlives_its_config_map_although_the_source_is_refused_now(
    team: Team, running: None, tmp_path: Path
) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    [runtime] = team.runtimes(tmp_path, Workshop())
    with runtime:
        served = team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        team.patch("loraadapters", "pirate", {"spec": {"source": {"huggingFace": {"repo": "team/missing"}}}})
        team.comes_to("loraadapters", "pirate", "Ready", ("False", "SourceNotFound"))
        team.core.delete_namespaced_config_map(render.desired_config_map("smol"), team.namespace)

        def stored() -> Desired | None:
            team.ring()
            found = team.find(team.core.read_namespaced_config_map, render.desired_config_map("smol"))
            return None if found is None else read_desired({"binaryData": found.binary_data})

        [entry] = eventually("the document is stored again", stored).adapters
        assert entry.serve is not None
        assert entry.serve.revision == served["revision"]
        assert team.condition("loraadapters", "pirate", "Available") == ("True", "Serving")


def test_it_ends_within_five_seconds_of_being_asked_to(team: Team, operator: Operator) -> None:
    with operator.running() as process:
        team.create(MODEL)
        eventually("the Deployment", lambda: team.find(team.apps.read_namespaced_deployment))
        port = operator.environment["LORA_OPERATOR_HEALTH_PORT"]
        eventually("health", lambda: httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success)
        asked = time.monotonic()
        process.terminate()
        assert process.wait(timeout=30) == 0, operator.log.read_text()
        assert time.monotonic() - asked < 5.0


def test_a_second_start_waits_for_the_mount_of_the_ca_that_the_first_made(
    team: Team, operator: Operator, running: None
) -> None:
    eventually("the CA", lambda: team.find(team.core.read_namespaced_secret, "lora-operator-ca"))
    done = subprocess.run(
        [sys.executable, "-m", "lora_operator"], env=operator.environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "waiting for the kubelet to mount it" in done.stderr
    assert "Traceback" not in done.stderr


def serves_another_revision_than(team: Team, old: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        status = team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        return status if status["revision"] != old else None

    return eventually("another revision", look)
