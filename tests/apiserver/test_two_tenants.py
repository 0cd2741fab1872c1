"""Two namespaces of one operator, which have the same names in them: nothing that one writes leads into the other."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from local_cluster import Cluster
from lora_api import labels
from lora_operator.domain import render
from support.custom_resources import ADAPTER, BLEND, MIXTURE, MODEL, Manifest, mutated
from support.operated import POD_IPS, Operator, Team, eventually
from support.stand_in import StandIn

pytestmark = pytest.mark.apiserver

READY = ("True", "Serving")
REST_SECONDS = 2.0

THEIR_MODEL = mutated(
    MODEL,
    {
        "spec.credentials": [{"secretRef": {"name": "their-secret"}}],
        "spec.volumes": [{"name": "their-volume", "pvc": {"claimName": "adapters"}}],
    },
)
THEIR_OTHER_MODEL = mutated(MODEL, {"metadata.name": "theirs"})
FORMAL = mutated(ADAPTER, {"metadata.name": "formal", "spec.source.huggingFace.repo": "team/formal"})
OF_THEIRS: Mapping[str, tuple[Manifest, str]] = {
    "their model": (
        mutated(ADAPTER, {"metadata.name": "of-their-model", "spec.modelRef.name": "theirs"}),
        "ModelNotFound",
    ),
    "their adapter": (mutated(BLEND, {"metadata.name": "of-their-adapter"}), "MemberNotFound"),
    "their Secret": (
        mutated(
            ADAPTER,
            {"metadata.name": "with-their-secret", "spec.source.credentialsRef": {"name": "their-secret"}},
        ),
        "CredentialsNotMounted",
    ),
    "their volume": (
        mutated(
            ADAPTER,
            {"metadata.name": "on-their-volume", "spec.source": {"volume": {"name": "their-volume", "path": "x"}}},
        ),
        "VolumeNotMounted",
    ),
    "their experts": (mutated(MIXTURE, {"metadata.name": "of-their-experts"}), "MemberNotFound"),
}
"""What names something that the other namespace alone has, and why it is not accepted there where it is not."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """The users of a namespace, and the pod of their model `smol`."""

    team: Team
    runtime: StandIn

    def everything(self) -> dict[str, Any]:
        """All that is stored of the namespace's own objects, and all that its pod was ever told and asked."""
        custom, namespace = self.team.custom, self.team.namespace
        kinds = ("loramodels", "loraadapters")
        desired = self.team.core.read_namespaced_config_map(render.desired_config_map("smol"), namespace)
        return {
            kind: custom.list_namespaced_custom_object(labels.GROUP, labels.VERSION, namespace, kind)["items"]
            for kind in kinds
        } | {
            "desired": (desired.metadata.resource_version, desired.binary_data),
            "told": [document.model_dump_json() for document in self.runtime.documents],
            "asked": [question.model_dump_json() for question in self.runtime.questions],
            "in the engine": sorted(self.runtime.engine.loaded),
        }

    def at_rest(self) -> dict[str, Any]:
        """Everything, once it has stayed the same for a while."""
        since, seen = time.monotonic(), self.everything()

        def unchanged() -> bool:
            nonlocal since, seen
            if (now := self.everything()) != seen:
                since, seen = time.monotonic(), now
            return time.monotonic() - since > REST_SECONDS

        eventually("rest", unchanged)
        return seen

    def serves(self, name: str) -> dict[str, Any]:
        """The adapter's status, once its pod serves it."""
        return self.team.comes_to("loraadapters", name, "Ready", READY)


@pytest.fixture
def teams(
    api_server: Cluster,
    api_client: client.ApiClient,
    namespace: str,
    new_namespace: Callable[[], str],
    tmp_path: Path,
) -> Iterator[tuple[Team, Team]]:
    """We and they; the operator has a namespace of its own."""
    ours, theirs = (Team(api_client, new_namespace()) for _ in range(2))
    watches = (ours.namespace, theirs.namespace)
    with Operator(api_server, namespace, tmp_path, watches=watches).running():
        yield ours, theirs


@pytest.fixture
def tenants(teams: tuple[Team, Team], tmp_path: Path) -> Iterator[tuple[Tenant, Tenant]]:
    """Both serve an adapter `pirate`, of sources of their own, by a model `smol`."""
    found = []
    with contextlib.ExitStack() as pods:
        for who, team, model, ip in zip(("our", "their"), teams, (MODEL, THEIR_MODEL), POD_IPS, strict=False):
            team.create(model)
            team.create(mutated(ADAPTER, {"spec.source.huggingFace.repo": f"{who}/pirate"}))
            [runtime] = team.runtimes(tmp_path / who, None, ips=[ip])
            found.append(Tenant(team, pods.enter_context(runtime)))
        ours, theirs = found
        assert ours.serves("pirate")["digest"] != theirs.serves("pirate")["digest"]
        yield ours, theirs


def leading_to(host: str) -> dict[str, dict[str, Any]]:
    """Each kind of source for which its author chooses a server."""
    return {
        "s3": {"bucket": "smol", "endpoint": f"http://{host}:8000"},
        "gcs": {"bucket": "smol", "endpoint": f"http://{host}:8000"},
        "http": {"url": f"http://{host}:8000/v1"},
        "oci": {"reference": f"{host}:8000/v1/models:latest", "plainHTTP": True},
    }


def plural(manifest: Manifest) -> str:
    return f"{manifest['kind'].lower()}s"


def test_what_names_anything_of_another_namespace_is_told_that_there_is_none_and_changes_nothing_there(
    tenants: tuple[Tenant, Tenant],
) -> None:
    ours, theirs = tenants
    for theirs_alone in (THEIR_OTHER_MODEL, FORMAL, *(manifest for manifest, _ in OF_THEIRS.values())):
        theirs.team.create(theirs_alone)
        name = theirs_alone["metadata"]["name"]
        theirs.team.comes_to(plural(theirs_alone), name, "Accepted", ("True", "Accepted"))
    theirs.serves("of-their-adapter")
    before, asked = theirs.at_rest(), len(ours.runtime.questions)

    for manifest, _ in OF_THEIRS.values():
        ours.team.create(manifest)
    for manifest, reason in OF_THEIRS.values():
        ours.team.comes_to(plural(manifest), manifest["metadata"]["name"], "Accepted", ("False", reason))

    assert theirs.at_rest() == before
    assert len(ours.runtime.questions) == asked
    assert set(ours.runtime.engine.published) == {"pirate"}


def test_no_kind_of_source_leads_to_a_server_of_another_namespace(tenants: tuple[Tenant, Tenant]) -> None:
    ours, theirs = tenants
    before, asked = theirs.at_rest(), len(ours.runtime.questions)
    service = theirs.team.core.read_namespaced_service("smol", theirs.team.namespace)
    for kind, fields in leading_to(service.spec.cluster_ip).items():
        ours.team.create(mutated(ADAPTER, {"metadata.name": f"by-{kind}", "spec.source": {kind: fields}}))

    for kind in leading_to(""):
        ours.team.comes_to("loraadapters", f"by-{kind}", "Accepted", ("False", "SourceForbidden"))
    assert theirs.at_rest() == before
    assert len(ours.runtime.questions) == asked


def test_what_happens_to_a_name_in_one_namespace_does_not_happen_to_it_in_another(
    tenants: tuple[Tenant, Tenant],
) -> None:
    ours, theirs = tenants
    before = theirs.at_rest()

    ours.team.create(mutated(FORMAL, {"spec.servedName": "only-ours"}))
    ours.team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
    ours.serves("formal")
    eventually("the new name", lambda: set(ours.runtime.engine.published) == {"pirate", "only-ours"})
    ours.team.delete("loraadapters", "pirate")
    eventually("the adapter leaves our engine", lambda: set(ours.runtime.engine.published) == {"only-ours"})
    ours.team.delete("loramodels", "smol")
    ours.team.comes_to("loraadapters", "formal", "Accepted", ("False", "ModelNotFound"))

    assert theirs.at_rest() == before
    assert set(theirs.runtime.engine.published) == {"pirate"}


def test_a_pod_with_the_certificate_of_another_namespaces_model_is_told_and_asked_nothing(
    teams: tuple[Team, Team], tmp_path: Path
) -> None:
    ours, theirs = teams
    ours.create(MODEL)
    ours.mount_certificate(tmp_path / "our")
    theirs.create(MODEL)
    theirs.create(ADAPTER)
    log = tmp_path / "operator.log"

    with StandIn(POD_IPS[1], render.ADMIN_PORT, tmp_path / "our", store=tmp_path / "store") as impostor:
        [their_own] = theirs.runtimes(tmp_path / "their", None, ips=POD_IPS[1:])
        eventually("the operator says why", lambda: "Hostname mismatch" in log.read_text(encoding="utf-8"))
    with their_own:
        theirs.comes_to("loraadapters", "pirate", "Ready", READY)

    assert not impostor.documents
    assert not impostor.questions
