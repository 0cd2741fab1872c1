"""Adapters from other servers, served: the whole way from a source as users write it to the tokens that clients get."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.conftest import World
from lora_api.runtime_api import Part, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.conditions import Reason
from support.object_servers import ACCESS_KEY, BUCKET, SECRET_KEY, a_service_account, running_gcs, running_s3
from support.oci_registry import LOGIN, running_registry
from support.stores import a_source, mount_secret
from support.web_server import running_web_server

Served = Callable[[AdapterSource], None]


@pytest.fixture
def served(world: World) -> Served:
    """Resolves a source, serves what it holds, and compares the answers with those of the adapter `a`."""

    def serve(source: AdapterSource) -> None:
        facts = world.ask(source).facts
        assert facts is not None
        part = Part(source=facts.source, digest=facts.digest, weight=0.7)
        world.serve(x=RevisionSpec.of((part,), BlendMethod.CONCAT, Precision.AUTO))
        assert world.tokens("x") == world.reference(("a", 0.7))

    return serve


def test_from_an_s3_server(world: World, served: Served, tmp_path: Path) -> None:
    secret = mount_secret(world.pod, {"accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY}, "s3")
    with running_s3(tmp_path) as s3:
        s3.put(world.adapter("a"))
        served(a_source("s3", secret, bucket=BUCKET, prefix="pirate", endpoint=s3.endpoint))


def test_from_google_cloud_storage(world: World, served: Served, tmp_path: Path) -> None:
    secret = mount_secret(world.pod, {"serviceAccountKey": a_service_account()}, "gcs")
    with running_gcs(tmp_path) as gcs:
        gcs.put(world.adapter("a"))
        served(a_source("gcs", secret, bucket=BUCKET, prefix="pirate", endpoint=gcs.endpoint))


def test_from_a_registry(world: World, served: Served, tmp_path: Path) -> None:
    secret = mount_secret(world.pod, dict(zip(("username", "password"), LOGIN, strict=True)), "registry")
    with running_registry(tmp_path, password=True) as registry:
        registry.push(world.adapter("a"))
        served(a_source("oci", secret, reference=f"{registry.host}/team/pirate:v1", plainHTTP=True))


def test_from_a_web_server_whose_token_is_rotated(world: World, served: Served) -> None:
    with running_web_server() as web:
        web.token = "right"
        secret = mount_secret(world.pod, {"token": "wrong"}, "web")
        source = a_source("http", secret, url=web.put(world.adapter("a")))
        refusal = world.ask(source).refusal
        assert refusal is not None
        assert refusal.reason is Reason.UNAUTHORIZED

        mount_secret(world.pod, {"token": "right"}, "web")
        served(source)


def test_the_metadata_service_is_not_asked(world: World) -> None:
    refusal = world.ask(a_source("http", url="http://169.254.169.254/latest/meta-data")).refusal
    assert refusal is not None
    assert refusal.reason is Reason.SOURCE_FORBIDDEN
