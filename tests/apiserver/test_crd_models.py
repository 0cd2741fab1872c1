"""Every rule of LoRAModels on a real API server: a valid object, one mutation, and what the user is told."""

from collections.abc import Mapping

import pytest

from lora_api.v1alpha1.engine import OWNED_FLAGS
from support.crd_rules import expect_refusal, refused
from support.custom_resources import MODEL, Manifest, Objects, mutated

pytestmark = pytest.mark.apiserver

VOLUME = {"name": "shared", "pvc": {"claimName": "adapters"}}
ONE_SOURCE = "exactly one of huggingFace, volume must be set"

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
}

REFUSED = [
    # where files come from
    refused("a model with two sources", MODEL, {"spec.source.volume": {"name": "shared"}}, "spec.source", ONE_SOURCE),
    refused("a model with an empty source", MODEL, {"spec.source": {}}, "spec.source", ONE_SOURCE),
    # names
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
            ("a port", ["minio.storage.svc:9000"], "should match"),
            ("an endless name", ["a" * 254], "Too long"),
            ("too many servers", ["ghcr.io"] * 33, "at most 32 items"),
        )
    ),
    refused("a cache of no size", MODEL, {"spec.cache.sizeLimit": "much"}, "cache.sizeLimit", "should match"),
]


@pytest.mark.parametrize("manifest", VALID.values(), ids=VALID.keys())
def test_a_valid_model_is_accepted(dry: Objects, manifest: Manifest) -> None:
    dry.create(manifest, dry_run=True)


@pytest.mark.parametrize(("manifest", "told"), REFUSED)
def test_an_invalid_model_is_refused_with_a_reason(dry: Objects, manifest: Manifest, told: tuple[str, ...]) -> None:
    expect_refusal(dry, manifest, told)
