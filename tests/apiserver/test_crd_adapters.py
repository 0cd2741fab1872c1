"""Every rule of LoRAAdapters but of their `source` on a real API server: a valid object, one mutation, and what the user is told."""

from collections.abc import Mapping

import pytest
from kubernetes import client

from support.crd_rules import expect_refusal, refused
from support.custom_resources import ADAPTER, BLEND, UNSET, Manifest, Objects, mutated

pytestmark = pytest.mark.apiserver

BLEND_ONLY = {"spec.source": UNSET, "spec.blend": BLEND["spec"]["blend"]}
ONE_ANSWER = "exactly one of contains, sha256 must be set"
ONE_SOURCE = "exactly one of huggingFace, volume, s3, gcs, http, oci must be set"

VALID: Mapping[str, Manifest] = {
    "an adapter from the hub": ADAPTER,
    "an adapter with a served name like a path": mutated(ADAPTER, {"spec.servedName": "team/Pirate.v1_2"}),
    "a blend by SVD": mutated(BLEND, {"spec.blend.method": "SVD", "spec.blend.rank": 16}),
    "a blend by TIES": mutated(BLEND, {"spec.blend.method": "TIES", "spec.blend.rank": 16, "spec.blend.density": 0.2}),
    "a blend by DARE": mutated(
        BLEND, {"spec.blend.method": "DARE", "spec.blend.density": 1, "spec.blend.seed": 2147483647}
    ),
    "an adapter that must say a word": mutated(ADAPTER, {"spec.verify": {"prompt": "Hello", "contains": "Ahoy"}}),
    "an adapter that must say a whole text": mutated(
        ADAPTER, {"spec.verify": {"prompt": "Hello", "maxTokens": 256, "sha256": "a" * 64}}
    ),
    "an adapter with the smallest weight": mutated(ADAPTER, {"spec.weight": -10}),
    "an adapter with a long name and a served name": mutated(
        ADAPTER, {"metadata.name": "a" * 200, "spec.servedName": "pirate"}
    ),
    "a blend": BLEND,
}

REFUSED = [
    # what an adapter is
    refused(
        "source and blend", ADAPTER, {"spec.blend": BLEND["spec"]["blend"]}, "exactly one of source, blend must be set"
    ),
    refused("neither source nor blend", ADAPTER, {"spec.source": UNSET}, "exactly one of source, blend must be set"),
    refused("no model", ADAPTER, {"spec.modelRef": UNSET}, "spec.modelRef", "Required value"),
    refused("no spec", ADAPTER, {"spec": UNSET}, "spec", "Required value"),
    refused(
        "a digest on a blend",
        BLEND,
        {"spec.digest": "sha256:" + "a" * 64},
        "digest may only be set together with source",
    ),
    refused("a digest of another kind", ADAPTER, {"spec.digest": "md5:" + "a" * 32}, "spec.digest", "should match"),
    refused(
        "a digest that is too short", ADAPTER, {"spec.digest": "sha256:" + "a" * 63}, "spec.digest", "should match"
    ),
    # what it must answer
    refused("an answer without a prompt", ADAPTER, {"spec.verify": {"contains": "Ahoy"}}, "prompt", "Required value"),
    refused("a prompt without an answer", ADAPTER, {"spec.verify": {"prompt": "Hello"}}, "spec.verify", ONE_ANSWER),
    refused(
        "two answers",
        ADAPTER,
        {"spec.verify": {"prompt": "Hello", "contains": "Ahoy", "sha256": "a" * 64}},
        "spec.verify",
        ONE_ANSWER,
    ),
    refused("a long answer", ADAPTER, {"spec.verify": {"prompt": "x", "contains": "y", "maxTokens": 257}}, "maxTokens"),
    refused("an answer's hash of another kind", ADAPTER, {"spec.verify": {"prompt": "x", "sha256": "abc"}}, "sha256"),
    # names
    refused("a served name with a space", ADAPTER, {"spec.servedName": "a b"}, "spec.servedName", "should match"),
    refused("a served name that ends in a dot", ADAPTER, {"spec.servedName": "a."}, "spec.servedName", "should match"),
    refused("a served name that is too long", ADAPTER, {"spec.servedName": "a" * 129}, "servedName", "Too long"),
    refused("an empty served name", ADAPTER, {"spec.servedName": ""}, "servedName", "at least 1 chars"),
    refused(
        "a long name without a served name",
        ADAPTER,
        {"metadata.name": "a" * 129},
        "metadata.name must be at most 128 characters, or spec.servedName must be set",
    ),
    refused("a reference to no name", ADAPTER, {"spec.modelRef.name": ""}, "spec.modelRef.name", "at least 1 chars"),
    refused("a reference to a bad name", ADAPTER, {"spec.modelRef.name": "A/b"}, "spec.modelRef.name", "should match"),
    # numbers
    refused("a weight too large", ADAPTER, {"spec.weight": 10.5}, "spec.weight", "less than or equal to 10"),
    refused("a weight too small", ADAPTER, {"spec.weight": -10.5}, "spec.weight", "greater than or equal to -10"),
    refused("a weight in words", ADAPTER, {"spec.weight": "0.7"}, "spec.weight", "must be of type number"),
    refused(
        "a member's weight too large", BLEND, {"spec.blend.members.1.weight": 11}, "members[1].weight", "equal to 10"
    ),
    refused(
        "no time to update", ADAPTER, {"spec.update.timeoutSeconds": 0}, "timeoutSeconds", "greater than or equal to 1"
    ),
    # choices
    refused("an unknown precision", ADAPTER, {"spec.precision": "fp8"}, "spec.precision", "Float32"),
    refused("an unknown strategy", ADAPTER, {"spec.update.strategy": "Canary"}, "update.strategy", "Together"),
    refused("an unknown blend method", BLEND, {"spec.blend.method": "Average"}, "blend.method", "Concat"),
    refused("a misspelt field", ADAPTER, {"spec.wieght": 1}, "unknown field", "spec.wieght"),
    # blends
    refused(
        "a rank for a concatenation",
        BLEND,
        {"spec.blend.rank": 8},
        "rank may only be set with method SVD, TIES or DARE",
    ),
    *(
        refused(
            f"a density for {method}",
            BLEND,
            {"spec.blend.method": method, "spec.blend.density": 0.5},
            "density may only be set with method TIES or DARE",
        )
        for method in ("Concat", "SVD")
    ),
    *(
        refused(
            f"a seed for {method}",
            BLEND,
            {"spec.blend.method": method, "spec.blend.seed": 1},
            "seed may only be set with method DARE",
        )
        for method in ("Concat", "SVD", "TIES")
    ),
    refused(
        "a density of nothing",
        BLEND,
        {"spec.blend.method": "TIES", "spec.blend.density": 0},
        "density",
        "greater than 0",
    ),
    refused(
        "a density above all",
        BLEND,
        {"spec.blend.method": "TIES", "spec.blend.density": 1.1},
        "density",
        "less than or equal to 1",
    ),
    refused("a blend of rank zero", BLEND, {"spec.blend.method": "SVD", "spec.blend.rank": 0}, "rank", "equal to 1"),
    refused("a blend beyond vLLM's rank", BLEND, {"spec.blend.method": "SVD", "spec.blend.rank": 513}, "rank", "512"),
    refused("a blend of nothing", BLEND, {"spec.blend.members": []}, "blend.members", "at least 1 items"),
    refused(
        "a member twice",
        BLEND,
        {"spec.blend.members.1.adapterRef.name": "pirate"},
        "must name each adapter once",
    ),
    refused(
        "too many members",
        BLEND,
        {"spec.blend.members": [{"adapterRef": {"name": f"m{i}"}} for i in range(17)]},
        "at most 16 items",
    ),
]


@pytest.mark.parametrize("manifest", VALID.values(), ids=VALID.keys())
def test_a_valid_adapter_is_accepted(dry: Objects, manifest: Manifest) -> None:
    dry.create(manifest, dry_run=True)


@pytest.mark.parametrize(("manifest", "told"), REFUSED)
def test_an_invalid_adapter_is_refused_with_a_reason(dry: Objects, manifest: Manifest, told: tuple[str, ...]) -> None:
    expect_refusal(dry, manifest, told)


@pytest.fixture
def objects(api_client: client.ApiClient, namespace: str) -> Objects:
    return Objects(api_client, namespace)


def test_an_adapter_may_not_move_to_another_model(objects: Objects) -> None:
    stored = objects.create(ADAPTER)

    with pytest.raises(client.ApiException) as refusal:
        objects.replace(mutated(stored, {"spec.modelRef.name": "other"}))

    assert "spec.modelRef" in str(refusal.value.body)
    assert "may not be changed; create a new LoRAAdapter" in str(refusal.value.body)


def test_all_but_the_model_of_an_adapter_may_change(objects: Objects) -> None:
    stored = objects.create(ADAPTER)

    changed = objects.replace(mutated(stored, BLEND_ONLY | {"spec.weight": 0.4, "spec.servedName": "arr"}))

    assert changed["spec"]["weight"] == 0.4
    assert changed["metadata"]["generation"] == 2
