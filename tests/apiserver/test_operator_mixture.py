"""The operator against a real API server, with stand-ins for the pods: X-LoRA as part of a LoRAModel."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_cluster import Cluster
from lora_api import labels
from lora_api.mixture_api import MixtureSpec
from lora_operator.domain import render
from lora_operator.reconcile.reading import read_desired
from support.custom_resources import ADAPTER, MIXTURE, MODEL, mutated
from support.mixing import COMMIT, Mixing
from support.operated import POD_IPS, Operator, Team, eventually
from support.stand_in import StandIn

pytestmark = pytest.mark.apiserver

PLAIN = mutated(MODEL, {"metadata.name": "plain"})
READY = ("True", "Serving")


@pytest.fixture
def experts(team: Team, operator: Operator, tmp_path: Path) -> Iterator[None]:
    """A plain model with the adapters pirate, formal and slang, which a pod has found."""
    with operator.running():
        team.create(PLAIN)
        for name in ("pirate", "formal", "slang"):
            team.create(an_adapter(name))
        [runtime] = team.runtimes(tmp_path / "plain", None, model="plain", ips=POD_IPS[2:])
        with runtime:
            for name in ("pirate", "formal", "slang"):
                team.comes_to("loraadapters", name, "Ready", READY)
            yield


def an_adapter(name: str, model: str = "plain") -> dict[str, Any]:
    return mutated(
        ADAPTER,
        {
            "metadata.name": name,
            "spec.modelRef.name": model,
            "spec.source": {"huggingFace": {"repo": f"team/{name}"}},
        },
    )


def stored_mixture(team: Team) -> MixtureSpec:
    """What a pod that starts now would read."""

    def look() -> MixtureSpec | None:
        found = team.find(team.core.read_namespaced_config_map, render.desired_config_map("smol"))
        document = None if found is None else read_desired({"binaryData": found.binary_data})
        return None if document is None else document.mixture

    return eventually("a document with a mixture", look)


def serves_another_than(team: Team, old: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        status = team.comes_to("loramodels", "smol", "Ready", READY)
        return status if status["mixture"]["serving"] != old else None

    return eventually("another mixture", look)


def test_adapters_of_a_plain_model_are_mixed_and_what_changes_of_them_reaches_the_running_pod(
    team: Team, api_server: Cluster, experts: None, tmp_path: Path
) -> None:
    team.create(MIXTURE)
    team.create(an_adapter("lonely", model="smol"))
    mixing = Mixing()
    [runtime] = team.runtimes(tmp_path, None, mixture=mixing)
    with runtime:
        first = team.comes_to("loramodels", "smol", "Ready", READY)
        assert first["summary"]["mixture"] == "2 experts, untrained"
        assert first["mixture"]["revision"] == first["mixture"]["serving"]
        listed = api_server.kubectl("get", "loramodels", "smol", "--namespace", team.namespace)
        assert "2 experts, untrained" in listed
        assert [expert.name for expert in stored_mixture(team).experts] == ["pirate", "formal"]
        team.comes_to("loraadapters", "lonely", "Accepted", ("False", "ModelIsMixture"))
        assert not runtime.documents[-1].adapters

        team.patch("loraadapters", "pirate", {"spec": {"weight": 0.5}})
        second = serves_another_than(team, first["mixture"]["serving"])
        assert stored_mixture(team).experts[0].weight == 0.5

        old = team.custom.get_namespaced_custom_object(
            labels.GROUP, labels.VERSION, team.namespace, "loraadapters", "slang"
        )
        mixing.refuses = old["status"]["digest"]
        team.patch("loramodels", "smol", mixing_of("slang", "formal"))
        failed = team.comes_to("loramodels", "smol", "Ready", ("False", "ShapeMismatch"))
        assert failed["mixture"]["serving"] == second["mixture"]["serving"]
        assert team.condition("loramodels", "smol", "Available") == READY

        team.patch("loramodels", "smol", mixing_of("formal", "missing"))
        team.comes_to("loramodels", "smol", "Accepted", ("False", "MemberNotFound"))
        team.create(an_adapter("missing"))
        third = serves_another_than(team, second["mixture"]["serving"])
        assert third["mixture"]["serving"] == runtime.documents[-1].mixture.revision  # type: ignore[union-attr]
        assert len(team.pods()) == 1
        assert not team.pods()[0].metadata.annotations, "nothing has replaced the pod"


def test_pods_are_replaced_only_for_a_mixture_that_they_cannot_take_as_they_run(
    team: Team, experts: None, tmp_path: Path
) -> None:
    team.create(MIXTURE)
    [runtime] = team.runtimes(tmp_path, None, mixture=Mixing())
    with runtime:
        first = team.comes_to("loramodels", "smol", "Ready", READY)
        [old] = team.pods()
        team.patch("loramodels", "smol", mixing_of("pirate", "formal", "slang"))
        team.comes_to("loramodels", "smol", "Ready", ("False", "RollingOut"))
        new = eventually(
            "a new pod", lambda: next((p for p in team.pods() if p.metadata.uid != old.metadata.uid), None)
        )
        assert new.metadata.annotations[labels.MIXTURE].startswith(stored_mixture(team).revision)
        assert team.status("loramodels", "smol")["mixture"]["serving"] == first["mixture"]["serving"]
        store = tmp_path / new.metadata.name
        with StandIn(POD_IPS[1], render.ADMIN_PORT, tmp_path, store=store, mixture=Mixing()):
            team.play_ready(new, POD_IPS[1])
            second = serves_another_than(team, first["mixture"]["serving"])
            eventually("the old pod is gone", lambda: len(team.pods()) == 1)
    assert second["summary"]["mixture"] == "3 experts, untrained"


def test_a_trained_mixture_is_pinned_to_what_the_first_pod_found(
    team: Team, operator: Operator, tmp_path: Path
) -> None:
    with operator.running():
        source = {"huggingFace": {"repo": "team/voices"}}
        team.create(mutated(MODEL, {"spec.mixture": {"source": source}}))
        [runtime] = team.runtimes(tmp_path, None, mixture=Mixing())
        with runtime:
            pinned = eventually("the pin", lambda: found if (found := stored_mixture(team)).digest else None)
            status = team.comes_to("loramodels", "smol", "Ready", READY)
    assert pinned.source is not None
    assert pinned.source.hugging_face is not None
    assert pinned.source.hugging_face.revision == COMMIT
    assert status["summary"]["mixture"] == "3 experts, trained"


def mixing_of(*names: str) -> dict[str, Any]:
    return {"spec": {"mixture": {"experts": [{"adapterRef": {"name": name}} for name in names]}}}
