"""What the doctor finds."""

from typing import Any

import pytest

from lora_api import labels
from lora_api.crdgen import KINDS, crd
from lora_api.error_codes import ErrorCode
from lora_cli.domain import health
from lora_cli.domain.health import RIGHTS, RIGHTS_FOR_SCALINGS
from support.stored import a_stored_adapter, a_stored_model

SCHEMAS = {
    kind.type.kind: crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for kind in KINDS
}  # fmt: skip


def a_deployment(ready: int) -> dict[str, Any]:
    meta = {"name": "lora-operator", "namespace": "ops", "labels": {"app.kubernetes.io/version": "0.1.0"}}
    return {"metadata": meta, "status": {"readyReplicas": ready}}


def test_todays_crds_are_as_new_as_the_command() -> None:
    found = health.of_versions([labels.VERSION], SCHEMAS)
    assert (found.code, found.notable) == (None, False)


def test_crds_that_are_missing_or_older_are_found() -> None:
    assert health.of_versions([], None).code is ErrorCode.NOT_FOUND
    assert "serves v1" in health.of_versions(["v1"], None).what
    assert "older than this command" in health.of_versions([labels.VERSION], {"LoRAAdapter": {"properties": {}}}).what


def test_each_missing_right_is_named_with_what_needs_it() -> None:
    may = {right: right.verb != "delete" for right in RIGHTS}
    [finding] = health.of_rights(may, "team")
    assert finding.code is ErrorCode.FORBIDDEN
    assert finding.what == "you may not delete loraadapters.lora-operator.io in namespace team: needed for rm, clear"
    assert finding.then == "kubectl auth can-i delete loraadapters.lora-operator.io -n team"
    [well] = health.of_rights(dict.fromkeys(RIGHTS, True), "team")
    assert well.code is None


def test_rights_that_only_scalings_needs_are_told_and_not_wrong() -> None:
    may = {right: right.verb == "list" for right in RIGHTS_FOR_SCALINGS}
    [finding] = health.of_rights_for_scalings(may, [a_stored_model(), a_stored_model("mixed")], "team")
    assert (finding.code, finding.notable) == (None, True)
    assert finding.what == "you may not get pods/proxy in namespace team: needed for scalings of smol, mixed"
    assert finding.then == "kubectl auth can-i get pods/proxy -n team"
    assert list(health.of_rights_for_scalings(dict.fromkeys(RIGHTS_FOR_SCALINGS, True), [], "team")) == []


@pytest.mark.parametrize(
    ("deployments", "unseen", "code", "words"),
    [
        ([a_deployment(1)], [], None, "operator 0.1.0 runs in namespace ops"),
        ([a_deployment(0)], [], ErrorCode.UNREACHABLE, "has no ready pod"),
        ([a_deployment(1)], ["pirate"], ErrorCode.UNREACHABLE, "none watches team"),
        (None, [], None, "you may not look at its Deployment"),
        ([], [], None, "it runs somewhere else"),
    ],
)
def test_an_operator_is_known_by_its_pod_and_by_what_it_has_seen(
    deployments: Any, unseen: list[str], code: ErrorCode | None, words: str
) -> None:
    found = health.of_operator(deployments, unseen, "team")
    assert found.code is code
    assert words in found.what


def test_what_is_refused_is_wrong_and_what_passes_is_only_told() -> None:
    objects = [a_stored_adapter(ready=("False", "RankTooLarge")), a_stored_adapter("b", ready=("False", "Loading"))]
    wrong, passing = health.of_objects([a_stored_model()], objects, "team")
    assert (wrong.code, passing.code) == (ErrorCode.INCOMPATIBLE, None)
    assert wrong.then == "kubectl edit loramodel smol -n team"
    assert list(health.of_objects([a_stored_model()], [a_stored_adapter(seen=False)], "team")) == []


def test_what_is_often_not_meant_is_told() -> None:
    model = a_stored_model(
        adapters={"maxResident": 1, "maxCached": 1}, apiKey={"secretRef": {"name": "keys"}}, reachableFrom="Nowhere"
    )
    adapters = [a_stored_adapter(weight=0), a_stored_adapter("b")]
    words = [found.what for found in health.of_objects([model], adapters, "team")]
    for part in ("has the weight 0", "2 adapters, of which 1", "wants an API key", "reachable from Nowhere"):
        assert any(part in said for said in words), part
    assert "is it the right one?" in next(iter(health.of_objects([], [], "team"))).what
