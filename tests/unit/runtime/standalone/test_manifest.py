"""The file of LoRAAdapter objects: what kubectl takes and gives, and what an API server would refuse."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from lora_api.v1alpha1.adapter import LoRAAdapterSpec
from lora_runtime.standalone import manifest, rules

SHA = "a" * 64


def an_object(name: str = "pirate", **spec: Any) -> dict[str, Any]:
    wish = {"modelRef": {"name": "smol"}} | ({} if "blend" in spec else {"source": {"huggingFace": {"repo": "t/p"}}})
    return {
        "apiVersion": "lora-operator.io/v1alpha1",
        "kind": "LoRAAdapter",
        "metadata": {"name": name},
        "spec": wish | spec,
    }


def a_file(*objects: Any) -> str:
    return yaml.safe_dump_all(objects)


def refusal(text: str) -> str:
    with pytest.raises(manifest.Unreadable) as caught:
        manifest.wishes(text)
    return str(caught.value)


def test_a_file_has_one_object_in_each_document() -> None:
    found = manifest.wishes(a_file(an_object("a", weight=0.5), None, an_object("b", servedName="B")))
    assert [(w.name, w.served_name, w.spec.weight) for w in found] == [("a", "a", 0.5), ("b", "B", 1.0)]


def test_what_kubectl_gets_of_a_cluster_can_be_served_as_it_is() -> None:
    item = an_object() | {"status": {"revision": "12345678", "conditions": []}}
    item["metadata"] |= {"uid": "u", "resourceVersion": "5", "annotations": {"lora-operator.io/refresh": "2"}}
    found = manifest.wishes(a_file({"apiVersion": "v1", "kind": "List", "items": [item]}))
    assert [(w.name, w.refresh) for w in found] == [("pirate", "2")]


def test_a_file_with_a_comment_alone_declares_nothing() -> None:
    assert manifest.wishes("# none\n---\n") == ()


@pytest.mark.parametrize(("text", "says"), [
    (" \n", "it is empty"),
    ("a: [", "it is not YAML: .* line 1"),
    ("a: 2026-13-01", "it is not YAML: month"),
    ("a: !!int x", "it is not YAML: invalid literal"),
    ("[" * 20_000, "it is not YAML: .*recursion"),
    ("a: 1\nb: 2\na: 3\n", "it is not YAML: a is there twice .*line 3"),
    (a_file(an_object()) + "  weight: 0.1\n  weight: 0.9\n", "it is not YAML: weight is there twice .*line 12"),
    (a_file(an_object()).replace("spec:", "spec: &s\n  x: *s"), "LoRAAdapter pirate: spec: Circular reference"),
    (a_file(an_object(weight=True)), "spec.weight: Input should be a valid number"),
    (a_file(an_object(weight="0.5")), "spec.weight: Input should be a valid number"),
    (a_file(an_object(weight=float("nan"))), "spec: Out of range float values are not JSON compliant"),
    (a_file(an_object(servedName=5)), "spec.servedName: Input should be a valid string"),
    (a_file(an_object(update={"timeoutSeconds": "60"})), "spec.update.timeoutSeconds: Input should be a valid integer"),
    (a_file(an_object(served_name="x")), "spec.served_name: Extra inputs are not permitted"),
    (a_file(an_object() | {"apiVersion": "lora-operator.io/v1beta1"}), "but LoRAAdapter of lora-operator.io/v1beta1"),
    (a_file(an_object(blend={"members": [{"adapterRef": {"name": "team/formal"}}]})),
     "adapterRef.name: .*; blends name objects.* as in --adapter formal=owner/name"),
    (a_file(an_object() | {"sepc": {}}), "line 1: LoRAAdapter pirate: it has no field sepc"),
    (a_file(an_object() | {"metadata": {"name": "a", "label": {}}}), "LoRAAdapter a: it has no field metadata.label"),
    (a_file({"kind": "PodList", "items": [an_object()]}), "it is no LoRAAdapter but PodList"),
    (a_file(an_object("a"), an_object("b", weight=11)), "line 12: LoRAAdapter b: spec.weight"),
    (a_file({"kind": "List", "items": [an_object("a"), an_object("b", weight=11)]}), "line 12: LoRAAdapter b: spec.weight"),
    (a_file(an_object(wieght=0.5)), "LoRAAdapter pirate: spec.wieght: Extra inputs are not permitted"),
    (a_file(an_object(weight=11)), "spec.weight: Input should be less than or equal to 10"),
    (a_file(an_object("Pirate")), "metadata.name: must be lower-case letters"),
    (a_file(an_object() | {"kind": "LoRAModel"}), "it is no LoRAAdapter but LoRAModel"),
    (a_file(an_object() | {"apiVersion": "v1"}), "needs `apiVersion: lora-operator.io/v1alpha1`"),
    (a_file("pirate"), "something without a kind"),
    (a_file(an_object("a"), an_object("a")), "line 12: there is another LoRAAdapter a"),
    (a_file(an_object("a"), an_object("b", modelRef={"name": "big"})), "of the models big, smol, and one is served here"),
    (a_file(an_object() | {"spec": None}), "LoRAAdapter pirate: spec"),
])  # fmt: skip
def test_a_file_is_refused_as_a_whole_with_the_place_that_is_wrong(text: str, says: str) -> None:
    with pytest.raises(manifest.Unreadable, match=says):
        manifest.wishes(text)


def test_all_that_is_wrong_is_said_at_once() -> None:
    said = refusal(a_file(*(an_object(f"a{n}", weight=11) for n in range(7))))
    assert said.count("spec.weight") == 5
    assert said.endswith("; and 2 more")


def test_a_branch_that_is_called_as_a_day_is_no_date() -> None:
    source = "source: {huggingFace: {repo: t/p, revision: 2026-01-02}}"
    (found,) = manifest.wishes(a_file(an_object()).partition("spec:")[0] + f"spec: {{modelRef: {{name: m}}, {source}}}")
    assert found.spec.source is not None
    assert found.spec.source.describe() == "t/p@2026-01-02"


def test_a_part_that_is_merged_into_several_says_nothing_twice() -> None:
    text = "apiVersion: lora-operator.io/v1alpha1\nkind: LoRAAdapter\nmetadata: {name: a}\nspec: &s\n"
    first = text + "  <<: {weight: 1, modelRef: {name: m}}\n  weight: 0.5\n  source: {huggingFace: {repo: t/p}}\n"
    (found,) = manifest.wishes(first + "status:\n  <<: *s\n")
    assert found.spec.weight == 0.5


def test_aliases_are_taken_as_long_as_what_they_come_to_is_no_longer_than_a_spec() -> None:
    merged = "apiVersion: lora-operator.io/v1alpha1\nkind: LoRAAdapter\nmetadata: {name: a}\nspec:\n  modelRef: &m {name: smol}\n"
    (found,) = manifest.wishes(merged + "  <<: {modelRef: *m, weight: 0.5}\n  source: {huggingFace: {repo: t/p}}\n")
    assert found.spec.weight == 0.5
    bomb = "".join(f"  x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10) if n else 'x'}]\n" for n in range(30))
    assert "spec: it is longer than" in refusal(merged + bomb)


def a_blend(**how: Any) -> dict[str, Any]:
    return {"blend": {"members": [{"adapterRef": {"name": "a"}}, {"adapterRef": {"name": "b"}}]} | how}


BROKEN: dict[str, dict[str, Any]] = {
    "exactly one of source, blend must be set": a_blend() | {"source": {"huggingFace": {"repo": "t/p"}}},
    "digest may only be set together with source": a_blend() | {"digest": f"sha256:{SHA}"},
    "exactly one of huggingFace, volume, s3, gcs, http, oci must be set": {"source": {}},
    "must be a relative path without '..'": {"source": {"volume": {"name": "v", "path": "a/../b"}}},
    "must be a path inside the bucket, without a leading '/', '//', '.' or '..'": {
        "source": {"s3": {"bucket": "bucket", "prefix": "a//b"}}
    },
    "pathStyle must be true or unset with an endpoint that is an IP address: no server is called <bucket>.<address>": {
        "source": {"s3": {"bucket": "bucket", "endpoint": "http://10.0.0.7:9000", "pathStyle": False}}
    },
    "must be the URL of a folder or file, without '?' and '#'; keep secrets in the Secret of credentialsRef": {
        "source": {"http": {"url": "https://example.com/a?key=1"}}
    },
    "rank may only be set with method SVD, TIES or DARE": a_blend(rank=4),
    "density may only be set with method TIES or DARE": a_blend(method="SVD", density=0.5),
    "seed may only be set with method DARE": a_blend(method="TIES", seed=1),
    "must name each adapter once": a_blend(members=[{"adapterRef": {"name": "a"}}, {"adapterRef": {"name": "a"}}]),
    "exactly one of contains, sha256 must be set": {
        "source": {"huggingFace": {"repo": "t/p"}}, "verify": {"prompt": "p", "contains": "a", "sha256": SHA}
    },
}  # fmt: skip
"""A spec that breaks each rule, by the API server's words for it."""


@pytest.mark.parametrize("message", BROKEN)
def test_what_an_api_server_refuses_is_refused_in_its_words(message: str) -> None:
    spec = LoRAAdapterSpec.model_validate({"modelRef": {"name": "smol"}} | BROKEN[message])
    assert [said for said in rules.problems(spec) if said.endswith(message)]


def test_every_rule_of_the_schema_is_among_these() -> None:
    assert set(_rules(LoRAAdapterSpec.model_json_schema())) - set(BROKEN) == {
        "may not be changed; create a new LoRAAdapter"
    }


def in_s3(endpoint: str, **more: Any) -> dict[str, Any]:
    return {"source": {"s3": {"bucket": "bucket", "endpoint": endpoint} | more}}


@pytest.mark.parametrize(
    "spec",
    [
        {"source": {"huggingFace": {"repo": "t/p"}}},
        a_blend(method="DARE", rank=4, density=0.5, seed=1),
        in_s3("http://10.0.0.7:9000"),
        in_s3("http://[::1]:9000", pathStyle=True),
        in_s3("https://1.example.com", pathStyle=False),
    ],
    ids=str,
)
def test_a_sound_spec_breaks_none(spec: dict[str, Any]) -> None:
    assert not list(rules.problems(LoRAAdapterSpec.model_validate({"modelRef": {"name": "smol"}} | spec)))


def _rules(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
        for value in schema.values():
            yield from _rules(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _rules(value)
