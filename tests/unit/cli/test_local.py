"""What a server without a cluster tells, as objects, and what is said of them."""

from typing import Any

import pytest

from lora_api.error_codes import ErrorCode
from lora_api.local_api import LocalAdapter, LocalState
from lora_api.runtime_api import AdapterReport, Capacity, RevisionReport, RevisionState
from lora_api.v1alpha1.adapter import LoRAAdapterSpec
from lora_api.v1alpha1.common import ModelSource, VolumeSource
from lora_api.v1alpha1.conditions import Reason
from lora_cli.domain import diagnosis, local, rooms
from lora_cli.domain.advice import ADVICE
from lora_cli.domain.objects import adapter_of, model_of
from lora_cli.domain.places import AtAServer
from lora_cli.domain.subject import Subject
from lora_cli.domain.waiting import Progress, standing
from lora_cli.errors import Failed
from support.stored import NOW

URL = "http://127.0.0.1:8000"
HUB: dict[str, Any] = {"modelRef": {"name": "local"}, "source": {"huggingFace": {"repo": "a/b"}}}


def an_adapter(*, ready: bool = True, reason: Reason = Reason.SERVING, message: str = "") -> LocalAdapter:
    report = RevisionReport(revision="aaaaaaaa", state=RevisionState.SERVING, rank=8, size_bytes=1000, host_bytes=2000)
    return LocalAdapter(
        name="pirate",
        served_name="pirate",
        spec=LoRAAdapterSpec.model_validate(HUB),
        version="v1",
        ready=ready,
        reason=reason,
        message=message,
        report=AdapterReport(name="pirate", revisions=(report,)),
    )


def a_state(*adapters: LocalAdapter, settled: bool = True) -> LocalState:
    return LocalState(
        base="Org/Smol_135M",
        source=ModelSource(volume=VolumeSource(name="disk", path="models/smol")),
        max_rank=16,
        started="2026-01-01T11:00:00+00:00",
        settled=settled,
        capacity=Capacity(slots=5, slot_bytes=3000, max_cached=8),
        adapters=adapters,
    )


def test_the_objects_are_such_as_the_commands_read() -> None:
    told = an_adapter()
    state = a_state(told)
    model, adapter = model_of(local.model(state)), adapter_of(local.adapter(told, state))
    assert (model.meta.name, model.served_name, model.spec.adapters.max_rank) == ("org-smol-135m", "Org/Smol_135M", 16)
    assert adapter.model == model.meta.name
    assert standing(adapter).progress is standing(model).progress is Progress.DONE
    assert adapter.status.memory is not None
    assert (adapter.status.memory.host_bytes, adapter.status.memory.slot_bytes) == (2000, 3000)
    assert "1 adapters served; 5 can be in one batch" in rooms.room(model, [adapter])[0]


def test_an_update_that_is_refused_says_why_and_what_is_served_meanwhile() -> None:
    told = an_adapter(ready=False, reason=Reason.RANK_TOO_LARGE, message="rank 64, and 16 at most")
    adapter = adapter_of(local.adapter(told, a_state(told)))
    said = [line.text for line in diagnosis.of_adapter(adapter, NOW, AtAServer(URL))]
    assert said[0] == "pirate: LoRAAdapter of org-smol-135m"
    assert "not ready: RankTooLarge: rank 64, and 16 at most" in said
    assert f"lora rm pirate --server {URL}" in said
    assert "clients get revision aaaaaaaa meanwhile, from 1 of 1 pods" in said


@pytest.mark.parametrize("reason", sorted(ADVICE))
@pytest.mark.parametrize("in_volume", [False, True])
def test_no_advice_at_a_server_is_for_a_cluster(reason: Reason, in_volume: bool) -> None:
    meaning, command = AtAServer(URL).advice(reason, Subject("pirate", "smol", "", in_volume=in_volume))
    assert meaning
    assert command.startswith("lora ")
    assert command.endswith(f" --server {URL}")
    assert "kubectl" not in meaning + command
    assert "{" not in command


def test_files_that_a_server_may_not_read_need_no_token() -> None:
    meaning, _ = AtAServer(URL).advice(Reason.UNAUTHORIZED, Subject("pirate", "smol", "", in_volume=True))
    assert "HF_TOKEN" not in meaning


def test_patches_do_what_an_api_server_would() -> None:
    stored = {
        "metadata": {"name": "x", "generation": 1},
        "spec": {"weight": 1, "source": {"s3": {"bucket": "b"}}, "digest": "d"},
    }
    assert local.merged(stored, {"spec": {"weight": 0.5, "digest": None}}) == {
        "metadata": stored["metadata"],
        "spec": {"weight": 0.5, "source": {"s3": {"bucket": "b"}}},
    }
    steps: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/generation", "value": 1},
        {"op": "add", "path": "/spec/source", "value": {"oci": {}}},
        {"op": "remove", "path": "/spec/digest"},
    ]
    assert local.patched(stored, steps)["spec"] == {"weight": 1, "source": {"oci": {}}}
    assert stored["spec"]["digest"] == "d"


def test_a_patch_is_refused_if_the_object_is_not_what_it_tests_for() -> None:
    stored = {"metadata": {"name": "pirate", "generation": 2}, "spec": {}}
    with pytest.raises(Failed, match="somebody else has changed pirate") as failed:
        local.patched(stored, [{"op": "test", "path": "/metadata/generation", "value": 1}])
    assert failed.value.code is ErrorCode.CONFLICT


def test_a_step_that_is_not_known_is_not_left_out() -> None:
    with pytest.raises(NotImplementedError, match="replace"):
        local.patched({"spec": {}}, [{"op": "replace", "path": "/spec/weight", "value": 1}])


def test_a_model_and_an_adapter_of_one_name_are_two_objects() -> None:
    told = an_adapter().model_copy(update={"name": "org-smol-135m"})
    state = a_state(told)
    assert local.model(state)["metadata"]["uid"] != local.adapter(told, state)["metadata"]["uid"]
