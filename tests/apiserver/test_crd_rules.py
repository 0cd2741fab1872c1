"""Every rule of the CRDs on a real API server: a valid object, one mutation, and what the user is told."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from pydantic.alias_generators import to_camel

from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.model import OWNED_FLAGS
from support.custom_resources import ADAPTER, BLEND, MODEL, UNSET, Manifest, Objects, mutated

pytestmark = pytest.mark.apiserver

VOLUME = {"name": "shared", "pvc": {"claimName": "adapters"}}
S3 = {"bucket": "adapters", "prefix": "pirate"}
OCI = "ghcr.io/team/pirate"


@pytest.fixture
def objects(api_client: client.ApiClient, namespace: str) -> Objects:
    return Objects(api_client, namespace)


@pytest.fixture(scope="module")
def dry(api_client: client.ApiClient) -> Objects:
    """For objects that are only tried: they need no namespace of their own."""
    return Objects(api_client, "default")


VALID: Mapping[str, Manifest] = {
    "a model from the hub": MODEL,
    "a model from a volume": mutated(
        MODEL, {"spec.source": {"volume": {"name": "shared", "path": "models/smol"}}, "spec.volumes": [VOLUME]}
    ),
    "a model with a name of 40 characters": mutated(MODEL, {"metadata.name": "m" * 40}),
    "a model whose Secrets are for some servers": mutated(
        MODEL,
        {
            "spec.credentials": [
                {"secretRef": {"name": "files"}, "hosts": ["ghcr.io", "*.example.com", "fd00::1", "10.0.0.1"]},
                {"secretRef": {"name": "all"}, "hosts": ["*"]},
            ]
        },
    ),
    "a model scaled to zero": mutated(MODEL, {"spec.replicas": 0}),
    "a model with flags of its own": mutated(
        MODEL, {"spec.engine.extraArgs": ["--enforce-eager", "--max-num-seqs=8", "--model-impl=auto"]}
    ),
    "a model in float16 on a GPU": mutated(MODEL, {"spec.accelerator.type": "NVIDIA", "spec.engine.dtype": "Float16"}),
    "a model with as many cached as resident adapters": mutated(
        MODEL, {"spec.adapters": {"maxResident": 64, "maxCached": 64}}
    ),
    "an adapter from the hub": ADAPTER,
    "an adapter with all that a source can say": mutated(
        ADAPTER,
        {
            "spec.source.huggingFace": {"repo": "team/pirate", "revision": "refs/pr/1", "subfolder": "a/b..c"},
            "spec.source.credentialsRef": {"name": "hf-team"},
            "spec.digest": "sha256:" + "a" * 64,
        },
    ),
    "an adapter from Amazon": mutated(ADAPTER, {"spec.source": {"s3": S3}}),
    "an adapter from another S3": mutated(
        ADAPTER,
        {
            "spec.source": {
                "s3": S3 | {"endpoint": "http://minio.storage.svc:9000/", "region": "eu-west-1", "pathStyle": False},
                "credentialsRef": {"name": "s3-team"},
            }
        },
    ),
    "an adapter from Google, in the bucket's root": mutated(ADAPTER, {"spec.source": {"gcs": {"bucket": "adapters"}}}),
    "an adapter from a web server": mutated(
        ADAPTER, {"spec.source": {"http": {"url": "https://[fd00::1]:8443/~team/pirate/", "sha256": "a" * 64}}}
    ),
    **{
        f"an adapter from the registry's {reference}": mutated(
            ADAPTER, {"spec.source": {"oci": {"reference": reference, "plainHTTP": True}}}
        )
        for reference in (OCI, f"{OCI}:v1", f"localhost:5000/a/b__c/d@sha256:{'0' * 64}", f"{OCI}:v1@sha256:{'0' * 64}")
    },
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


SOURCES_PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "sources.md"
EXAMPLES = [
    yaml.safe_load(block)
    for block in re.findall(r"```yaml\n(apiVersion.*?)```", SOURCES_PAGE.read_text(encoding="utf-8"), re.DOTALL)
]


@pytest.mark.parametrize("manifest", EXAMPLES, ids=lambda manifest: "+".join(manifest["spec"]["source"]))
def test_an_example_of_the_page_about_sources_is_accepted(dry: Objects, manifest: Manifest) -> None:
    dry.create(manifest, dry_run=True)


def test_the_page_about_sources_has_an_example_of_every_kind() -> None:
    kinds = {name for manifest in EXAMPLES for name in manifest["spec"]["source"]}
    assert kinds == {to_camel(name) for name in AdapterSource.model_fields if name != "poll_seconds"}


@pytest.mark.parametrize("manifest", VALID.values(), ids=VALID.keys())
def test_a_valid_object_is_accepted(dry: Objects, manifest: Manifest) -> None:
    dry.create(manifest, dry_run=True)


def refused(title: str, base: Manifest, changes: Mapping[str, Any], *told: str) -> Any:
    """One row: the mutation of a valid object, and the words that the refusal must hold."""
    return pytest.param(mutated(base, changes), told, id=title)


BLEND_ONLY = {"spec.source": UNSET, "spec.blend": BLEND["spec"]["blend"]}
ONE_ANSWER = "exactly one of contains, sha256 must be set"
ONE_SOURCE = "exactly one of huggingFace, volume, s3, gcs, http, oci must be set"
ONE_MODEL_SOURCE = "exactly one of huggingFace, volume must be set"
INSIDE = "must be a path inside the bucket"
RELATIVE = "must be a relative path without '..'"

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
    # where files come from
    refused("two sources", ADAPTER, {"spec.source.volume": {"name": "shared"}}, "spec.source", ONE_SOURCE),
    refused("an empty source", ADAPTER, {"spec.source": {}}, "spec.source", ONE_SOURCE),
    refused(
        "a model with two sources", MODEL, {"spec.source.volume": {"name": "shared"}}, "spec.source", ONE_MODEL_SOURCE
    ),
    refused("a model with an empty source", MODEL, {"spec.source": {}}, "spec.source", ONE_MODEL_SOURCE),
    *(
        refused(f"the hub and {kind}", ADAPTER, {f"spec.source.{kind}": source}, "spec.source", ONE_SOURCE)
        for kind, source in {
            "s3": S3,
            "gcs": {"bucket": "adapters"},
            "http": {"url": "https://example.com/pirate"},
            "oci": {"reference": OCI},
        }.items()
    ),
    refused("a bucket with a slash", ADAPTER, {"spec.source": {"s3": {"bucket": "a/b"}}}, "bucket", "should match"),
    refused("a prefix upwards", ADAPTER, {"spec.source": {"s3": S3 | {"prefix": "a/../b"}}}, "prefix", INSIDE),
    refused("a prefix with a gap", ADAPTER, {"spec.source": {"s3": S3 | {"prefix": "a//b"}}}, "prefix", INSIDE),
    refused("an absolute prefix", ADAPTER, {"spec.source": {"gcs": S3 | {"prefix": "/a"}}}, "prefix", INSIDE),
    refused(
        "an endpoint without a scheme", ADAPTER, {"spec.source": {"s3": S3 | {"endpoint": "minio:9000"}}}, "endpoint"
    ),
    refused(
        "an endpoint with a login", ADAPTER, {"spec.source": {"s3": S3 | {"endpoint": "http://a:b@minio"}}}, "endpoint"
    ),
    refused(
        "a file as a URL", ADAPTER, {"spec.source": {"http": {"url": "file:///etc/passwd"}}}, "url", "should match"
    ),
    refused(
        "a URL with a login", ADAPTER, {"spec.source": {"http": {"url": "https://a:b@x/y"}}}, "url", "should match"
    ),
    refused("a URL with a query", ADAPTER, {"spec.source": {"http": {"url": "https://x/y?z"}}}, "url", "without '?'"),
    refused("a short sha256", ADAPTER, {"spec.source": {"http": {"url": "https://x/y", "sha256": "ab"}}}, "sha256"),
    refused("a reference without a registry", ADAPTER, {"spec.source": {"oci": {"reference": "pirate"}}}, "reference"),
    refused("a reference upwards", ADAPTER, {"spec.source": {"oci": {"reference": "x.io/../y"}}}, "reference"),
    refused("a reference with a scheme", ADAPTER, {"spec.source": {"oci": {"reference": f"oci://{OCI}"}}}, "reference"),
    refused(
        "a repository with a scheme", ADAPTER, {"spec.source.huggingFace.repo": "https://x/y"}, "repo", "should match"
    ),
    refused(
        "a repository out of its folder", ADAPTER, {"spec.source.huggingFace.repo": "../etc"}, "repo", "should match"
    ),
    refused("an empty revision", ADAPTER, {"spec.source.huggingFace.revision": ""}, "revision", "at least 1 chars"),
    refused("a revision like a flag", ADAPTER, {"spec.source.huggingFace.revision": "-x"}, "revision", "should match"),
    refused("a subfolder upwards", ADAPTER, {"spec.source.huggingFace.subfolder": "a/../../b"}, "subfolder", RELATIVE),
    refused("an absolute subfolder", ADAPTER, {"spec.source.huggingFace.subfolder": "/etc"}, "subfolder", RELATIVE),
    refused(
        "a volume path upwards", ADAPTER, {"spec.source": {"volume": {"name": "v", "path": "../x"}}}, "path", RELATIVE
    ),
    refused(
        "an absolute volume path", ADAPTER, {"spec.source": {"volume": {"name": "v", "path": "/x"}}}, "path", RELATIVE
    ),
    refused(
        "credentials that name no Secret",
        ADAPTER,
        {"spec.source.credentialsRef": {}},
        "credentialsRef.name",
        "Required",
    ),
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
    *(
        refused(
            f"a model named {title}",
            MODEL,
            {"metadata.name": name},
            "metadata.name must be a DNS label of at most 40 characters, because Services are named after it",
        )
        for title, name in (("too long", "m" * 41), ("with a dot", "smol.v1"), ("with a digit first", "7b"))
    ),
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
    refused("negative replicas", MODEL, {"spec.replicas": -1}, "spec.replicas", "greater than or equal to 0"),
    refused("half a replica", MODEL, {"spec.replicas": 1.5}, "spec.replicas", "must be of type integer"),
    refused("rank zero", MODEL, {"spec.adapters.maxRank": 0}, "maxRank", "greater than or equal to 1"),
    refused("a rank beyond vLLM's", MODEL, {"spec.adapters.maxRank": 513}, "maxRank", "less than or equal to 512"),
    refused(
        "fewer cached than resident",
        MODEL,
        {"spec.adapters": {"maxResident": 9, "maxCached": 8}},
        "maxCached must be at least maxResident",
    ),
    refused(
        "more resident than cached by default",
        MODEL,
        {"spec.adapters": {"maxResident": 65}},
        "maxCached must be at least maxResident",
    ),
    refused("no device", MODEL, {"spec.accelerator.count": 0}, "spec.accelerator.count", "greater than or equal to 1"),
    refused("no token", MODEL, {"spec.engine.maxModelLen": 0}, "maxModelLen", "greater than or equal to 1"),
    # choices
    refused(
        "float32 on a GPU",
        MODEL,
        {"spec.accelerator.type": "NVIDIA", "spec.engine.dtype": "Float32"},
        "engine.dtype may not be Float32",
    ),
    refused("an unknown accelerator", MODEL, {"spec.accelerator.type": "GPU"}, "accelerator.type", "NVIDIA"),
    refused("an unknown dtype", MODEL, {"spec.engine.dtype": "int8"}, "engine.dtype", "BFloat16"),
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
    # how vLLM is started
    *(
        refused(
            f"the flag {flag}",
            MODEL,
            {"spec.engine.extraArgs": [f"{flag}=1"]},
            "extraArgs",
            "flags that the operator owns",
        )
        for flag in OWNED_FLAGS
    ),
    *(
        refused(f"{flag}, which means an owned flag", MODEL, {"spec.engine.extraArgs": [flag]}, "abbreviated or not")
        for flag in ("--api-k=x", "--api-key.x=1", "--middlew=x", "--served_m=x", "--enable-lor", "--m=x", "-t=2")
    ),
    refused("an API key of no Secret", MODEL, {"spec.apiKey": {"key": "keys"}}, "apiKey.secretRef", "Required value"),
    refused(
        "an API key at a path",
        MODEL,
        {"spec.apiKey": {"secretRef": {"name": "keys"}, "key": "../x"}},
        "apiKey.key",
        "should match",
    ),
    refused("clients from nowhere known", MODEL, {"spec.reachableFrom": "Mars"}, "reachableFrom", "Unsupported value"),
    refused("an owned flag alone", MODEL, {"spec.engine.extraArgs": ["--enable-lora"]}, "flags that the operator owns"),
    refused(
        "an owned flag with underscores",
        MODEL,
        {"spec.engine.extraArgs": ["--max_loras=9"]},
        "flags that the operator owns",
    ),
    refused(
        "a flag's value apart", MODEL, {"spec.engine.extraArgs": ["--seed", "1"]}, "each as --flag=value or --flag"
    ),
    refused("an empty flag", MODEL, {"spec.engine.extraArgs": [""]}, "extraArgs[0]", "at least 1 chars"),
    # what is mounted
    refused(
        "a volume of no kind", MODEL, {"spec.volumes": [{"name": "v"}]}, "exactly one of pvc, hostPath must be set"
    ),
    refused(
        "a volume of two kinds",
        MODEL,
        {"spec.volumes": [VOLUME | {"hostPath": {"path": "/data"}}]},
        "exactly one of pvc, hostPath must be set",
    ),
    refused(
        "a relative host path",
        MODEL,
        {"spec.volumes": [{"name": "v", "hostPath": {"path": "data"}}]},
        "must be an absolute path",
    ),
    refused("a volume twice", MODEL, {"spec.volumes": [VOLUME, VOLUME]}, "spec.volumes[1]", "Duplicate value"),
    refused(
        "a volume with a bad name",
        MODEL,
        {"spec.volumes": [VOLUME | {"name": "a.b"}]},
        "volumes[0].name",
        "should match",
    ),
    refused(
        "a Secret without a name", MODEL, {"spec.credentials": [{"secretRef": {}}]}, "secretRef.name", "Required value"
    ),
    *(
        refused(
            f"a Secret for {title}",
            MODEL,
            {"spec.credentials": [{"secretRef": {"name": "files"}, "hosts": hosts}]},
            "credentials[0].hosts",
            told,
        )
        for title, hosts, told in (
            ("no server", [], "at least 1 items"),
            ("a URL", ["https://ghcr.io"], "should match"),
            ("a star inside a name", ["files.*.com"], "should match"),
            ("an endless name", ["a" * 254], "Too long"),
            ("too many servers", ["ghcr.io"] * 33, "at most 32 items"),
        )
    ),
    refused(
        "a look every second", ADAPTER, {"spec.source.pollSeconds": 1}, "pollSeconds", "greater than or equal to 10"
    ),
    refused("a cache of no size", MODEL, {"spec.cache.sizeLimit": "much"}, "cache.sizeLimit", "should match"),
]


@pytest.mark.parametrize(("manifest", "told"), REFUSED)
def test_an_invalid_object_is_refused_with_a_reason(dry: Objects, manifest: Manifest, told: tuple[str, ...]) -> None:
    with pytest.raises(client.ApiException) as refusal:
        dry.create(manifest, dry_run=True)

    assert refusal.value.status in (400, 422)
    for words in told:
        assert words in str(refusal.value.body)


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
