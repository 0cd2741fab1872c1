"""No reference of either kind can be made to lead out of its namespace: a real API server refuses the names that would try."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lora_api import crdgen
from support.crd_rules import expect_refusal
from support.custom_resources import ADAPTER, BLEND, MIXTURE, MODEL, Manifest, Objects, mutated

pytestmark = pytest.mark.apiserver

ON_VOLUME = {"volume": {"name": "shared"}}
WITH_SECRET = {"huggingFace": {"repo": "team/voices"}, "credentialsRef": {"name": "hub"}}
VOLUMES = [{"name": "shared", "pvc": {"claimName": "adapters"}}]
REFERENCES: Mapping[str, Mapping[str, Manifest]] = {
    "LoRAAdapter": {
        "spec.modelRef.name": ADAPTER,
        "spec.source.credentialsRef.name": mutated(ADAPTER, {"spec.source": WITH_SECRET}),
        "spec.source.volume.name": mutated(ADAPTER, {"spec.source": ON_VOLUME}),
        "spec.blend.members.0.adapterRef.name": BLEND,
    },
    "LoRAModel": {
        "spec.apiKey.secretRef.name": mutated(MODEL, {"spec.apiKey": {"secretRef": {"name": "clients"}}}),
        "spec.credentials.0.secretRef.name": mutated(MODEL, {"spec.credentials": [{"secretRef": {"name": "hub"}}]}),
        "spec.mixture.experts.0.adapterRef.name": MIXTURE,
        "spec.mixture.source.credentialsRef.name": mutated(MODEL, {"spec.mixture": {"source": WITH_SECRET}}),
        "spec.mixture.source.volume.name": mutated(MODEL, {"spec.mixture": {"source": ON_VOLUME}}),
        "spec.source.volume.name": mutated(MODEL, {"spec.source": ON_VOLUME, "spec.volumes": VOLUMES}),
        "spec.volumes.0.name": mutated(MODEL, {"spec.volumes": VOLUMES}),
        "spec.volumes.0.pvc.claimName": mutated(MODEL, {"spec.volumes": VOLUMES}),
    },
}
"""By kind: each field that names another object, and a valid object that has it."""
EACH = [
    pytest.param(path, manifest, id=f"{kind} {path}")
    for kind, paths in REFERENCES.items()
    for path, manifest in paths.items()
]
LEADING_OUT = (
    "theirs/smol",
    "../smol",
    "..",
    "/smol",
    "theirs/../smol",
    "theirs%2Fsmol",
    "theirs\\smol",
    "theirs:smol",
)


def names_in(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """The fields that name an object, in the order in which `mutated` takes their paths."""
    for name, field in schema.get("properties", {}).items():
        if name in ("name", "claimName"):
            yield f"{path}.{name}"
        yield from names_in(field, f"{path}.{name}")
    if "items" in schema:
        yield from names_in(schema["items"], f"{path}.0")


@pytest.mark.parametrize("kind", crdgen.KINDS, ids=lambda kind: str(kind.type.kind))
def test_every_reference_of_the_schema_is_tried_here(kind: crdgen.Kind) -> None:
    [version] = crdgen.crd(kind)["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]

    assert set(names_in(spec, "spec")) == set(REFERENCES[kind.type.kind])


@pytest.mark.parametrize(("path", "manifest"), EACH)
def test_a_reference_takes_a_name_and_nothing_that_leads_elsewhere(dry: Objects, path: str, manifest: Manifest) -> None:
    dry.create(manifest, dry_run=True)

    told = re.sub(r"\.(\d+)", r"[\1]", path)
    for name in LEADING_OUT:
        expect_refusal(dry, mutated(manifest, {path: name}), (f"{told}: Invalid value",))


@pytest.mark.parametrize(("path", "manifest"), EACH)
def test_there_is_no_field_for_a_namespace_beside_a_name(dry: Objects, path: str, manifest: Manifest) -> None:
    beside = f"{path.rpartition('.')[0]}.namespace"

    expect_refusal(dry, mutated(manifest, {beside: "theirs"}), ("unknown field", re.sub(r"\.(\d+)", r"[\1]", beside)))
