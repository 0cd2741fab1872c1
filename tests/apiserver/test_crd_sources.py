"""Every rule of an adapter's `source` on a real API server: a valid one, one mutation, and what the user is told."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from pydantic.alias_generators import to_camel

from lora_api.v1alpha1.adapter import AdapterSource
from support.crd_rules import expect_refusal, refused
from support.custom_resources import ADAPTER, Manifest, Objects, mutated

pytestmark = pytest.mark.apiserver

S3 = {"bucket": "adapters", "prefix": "pirate"}
OCI = "ghcr.io/team/pirate"
ONE_SOURCE = "exactly one of huggingFace, volume, s3, gcs, http, oci must be set"
INSIDE = "must be a path inside the bucket"
RELATIVE = "must be a relative path without '..'"

VALID: Mapping[str, Manifest] = {
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
    **{
        f"an adapter from {endpoint} with pathStyle {style}": mutated(
            ADAPTER, {"spec.source": {"s3": S3 | {"endpoint": endpoint, "pathStyle": style}}}
        )
        for endpoint, style in (
            ("http://10.0.0.7:9000", True),
            ("http://[fd00::7]", True),
            ("http://10.example.com", False),
            ("https://10-0-0-7.storage.svc:9000", False),
        )
    },
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
}

REFUSED = [
    # where files come from
    refused("two sources", ADAPTER, {"spec.source.volume": {"name": "shared"}}, "spec.source", ONE_SOURCE),
    refused("an empty source", ADAPTER, {"spec.source": {}}, "spec.source", ONE_SOURCE),
    *(
        refused(f"the hub and {kind}", ADAPTER, {f"spec.source.{kind}": source}, "spec.source", ONE_SOURCE)
        for kind, source in {
            "s3": S3,
            "gcs": {"bucket": "adapters"},
            "http": {"url": "https://example.com/pirate"},
            "oci": {"reference": OCI},
        }.items()
    ),
    refused("a bucket with a slash", ADAPTER, {"spec.source": {"s3": {"bucket": "a/b"}}}, "bucket", "name alone"),
    refused("a bucket as a URL", ADAPTER, {"spec.source": {"s3": {"bucket": "s3://a/b"}}}, "bucket", "name alone"),
    refused(
        "a GCS bucket as a URL", ADAPTER, {"spec.source": {"gcs": {"bucket": "gs://a"}}}, "bucket", "without a scheme"
    ),
    refused("a prefix upwards", ADAPTER, {"spec.source": {"s3": S3 | {"prefix": "a/../b"}}}, "prefix", INSIDE),
    refused("a prefix with a gap", ADAPTER, {"spec.source": {"s3": S3 | {"prefix": "a//b"}}}, "prefix", INSIDE),
    refused("an absolute prefix", ADAPTER, {"spec.source": {"gcs": S3 | {"prefix": "/a"}}}, "prefix", INSIDE),
    *(
        refused(
            f"a bucket in front of {endpoint}",
            ADAPTER,
            {"spec.source": {"s3": S3 | {"endpoint": endpoint, "pathStyle": False}}},
            "spec.source.s3",
            "pathStyle must be true or unset",
        )
        for endpoint in ("http://10.0.0.7:9000", "https://10.0.0.7/", "http://[fd00::7]:9000", "http://2130706433")
    ),
    refused(
        "an endpoint without a scheme", ADAPTER, {"spec.source": {"s3": S3 | {"endpoint": "minio:9000"}}}, "endpoint"
    ),
    refused(
        "an endpoint with a login", ADAPTER, {"spec.source": {"s3": S3 | {"endpoint": "http://a:b@minio"}}}, "endpoint"
    ),
    refused(
        "a file as a URL",
        ADAPTER,
        {"spec.source": {"http": {"url": "file:///etc/passwd"}}},
        "url",
        "as in https://host/folder",
    ),
    refused("a URL with a login", ADAPTER, {"spec.source": {"http": {"url": "https://a:b@x/y"}}}, "url", "or a login"),
    refused("a URL with a query", ADAPTER, {"spec.source": {"http": {"url": "https://x/y?z"}}}, "url", "without '?'"),
    refused("a short sha256", ADAPTER, {"spec.source": {"http": {"url": "https://x/y", "sha256": "ab"}}}, "sha256"),
    refused("a reference without a registry", ADAPTER, {"spec.source": {"oci": {"reference": "pirate"}}}, "reference"),
    refused("a reference upwards", ADAPTER, {"spec.source": {"oci": {"reference": "x.io/../y"}}}, "reference"),
    refused(
        "a reference with a scheme",
        ADAPTER,
        {"spec.source": {"oci": {"reference": f"oci://{OCI}"}}},
        "without a scheme",
    ),
    refused(
        "a repository with a scheme", ADAPTER, {"spec.source.huggingFace.repo": "https://x/y"}, "repo", "not its URL"
    ),
    refused(
        "a repository out of its folder", ADAPTER, {"spec.source.huggingFace.repo": "../etc"}, "repo", "owner/name"
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
    # when it is looked at again
    refused(
        "a look every second", ADAPTER, {"spec.source.pollSeconds": 1}, "pollSeconds", "greater than or equal to 10"
    ),
]


@pytest.mark.parametrize("manifest", VALID.values(), ids=VALID.keys())
def test_a_valid_source_is_accepted(dry: Objects, manifest: Manifest) -> None:
    dry.create(manifest, dry_run=True)


@pytest.mark.parametrize(("manifest", "told"), REFUSED)
def test_an_invalid_source_is_refused_with_a_reason(dry: Objects, manifest: Manifest, told: tuple[str, ...]) -> None:
    expect_refusal(dry, manifest, told)


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
