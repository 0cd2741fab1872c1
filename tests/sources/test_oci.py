"""Adapters from a real container registry: open, with a password, and with tokens."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from lora_api.egress import Egress
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.store.content import ContentStore
from lora_runtime.store.digest import digest_of
from support.cutting import cutting
from support.oci_registry import LOGIN, Registry, running_registry, running_token_server
from support.stores import CONFIG, LOOPBACK, a_source, an_adapter_of, mount_secret, open_at, refused

pytestmark = pytest.mark.sources


def from_oci(where: Registry | str, reference: str = "team/pirate:v1", secret: str | None = None) -> AdapterSource:
    host = where if isinstance(where, str) else where.host
    return a_source("oci", secret, reference=f"{host}/{reference}", plainHTTP=True)


def docker_config(host: str, username: str, password: str) -> dict[str, str]:
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {".dockerconfigjson": json.dumps({"auths": {f"https://{host}/v1/": {"auth": auth}}})}


async def test_a_tag_is_pinned_to_its_digest(registry: Registry, store: ContentStore, pirate: Path) -> None:
    digest = registry.push(pirate)
    resolved = await store.resolve(from_oci(registry))
    assert resolved.digest == digest_of(pirate)
    assert resolved.source.describe() == f"oci://{registry.host}/team/pirate:v1@{digest}"


async def test_the_layer_titled_as_a_gguf_file_is_an_adapter(
    registry: Registry, store: ContentStore, tmp_path: Path
) -> None:
    folder = tmp_path / "gguf"
    folder.mkdir()
    (folder / "pirate.gguf").write_bytes(b"GGUF of a pirate")
    registry.push(folder, "team/gguf")
    (found,) = (await store.resolve(from_oci(registry, "team/gguf:v1"))).folder.iterdir()
    assert found.read_bytes() == b"GGUF of a pirate"


async def test_a_moved_tag_stays_pinned(registry: Registry, store: ContentStore, pirate: Path, tmp_path: Path) -> None:
    registry.push(pirate, tag="moving")
    pinned = await store.resolve(from_oci(registry, "team/pirate:moving"))
    registry.push(an_adapter_of(tmp_path / "other", seed=b"parrot"), tag="moving")

    (tmp_path / "new pod").mkdir()
    folder = await open_at(tmp_path / "new pod").ensure(pinned.source, pinned.digest)
    assert digest_of(folder) == digest_of(pirate)


async def test_without_a_tag_it_is_latest(registry: Registry, store: ContentStore, pirate: Path) -> None:
    registry.push(pirate, "team/untagged", tag="latest")
    assert (await store.resolve(from_oci(registry, "team/untagged"))).digest == digest_of(pirate)


@pytest.mark.parametrize("reference", ["team/nobody:v1", "team/pirate:v999", f"team/pirate@sha256:{'0' * 64}"])
async def test_what_is_missing_is_named(registry: Registry, store: ContentStore, pirate: Path, reference: str) -> None:
    registry.push(pirate)
    refusal = await refused(store, from_oci(registry, reference))
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_NOT_FOUND, True)
    assert reference in refusal.message


async def test_files_with_other_titles_are_listed(registry: Registry, store: ContentStore, pirate: Path) -> None:
    registry.push(pirate, "team/in-folder", prefix="pirate/")
    refusal = await refused(store, from_oci(registry, "team/in-folder:v1"))
    assert refusal.reason is Reason.SOURCE_NOT_FOUND
    assert "it has: pirate/adapter_config.json, pirate/adapter_model.safetensors" in refusal.message


async def test_what_is_too_large_is_refused_before_it_is_fetched(
    registry: Registry, pirate: Path, tmp_path: Path
) -> None:
    registry.push(pirate)
    refusal = await refused(open_at(tmp_path, max_bytes=1 << 20), from_oci(registry))
    assert refusal.reason is Reason.SOURCE_TOO_LARGE
    assert not list((tmp_path / "store" / "incoming").iterdir())


async def test_a_cut_download_goes_on_where_it_stopped(registry: Registry, store: ContentStore, pirate: Path) -> None:
    registry.push(pirate, "team/cut")
    with cutting(registry.port) as way:
        way.cut_after = (2 << 20) + 4096
        source = from_oci(way.address, "team/cut:v1")
        refusal = await refused(store, source)
        assert (refusal.reason, refusal.retryable, way.cuts) == (Reason.SOURCE_UNREACHABLE, True, 1)

        told: list[tuple[int, int | None]] = []
        resolved = await store.resolve(source, progress=lambda done, total: told.append((done, total)))
    assert resolved.digest == digest_of(pirate)
    done, total = told[-1]
    assert done == total
    first_of_the_large = next(done for done, _ in told if done > 1 << 20)
    assert first_of_the_large == (2 << 20) + len(CONFIG)


async def test_a_blob_with_other_bytes_is_not_taken(store: ContentStore, pirate: Path, tmp_path: Path) -> None:
    with running_registry(tmp_path / "registry") as registry:
        registry.push(pirate)
        tensors = registry.blob(pirate / "adapter_model.safetensors")
        right = tensors.read_bytes()
        tensors.write_bytes(right[:-1] + b"!")
        refusal = await refused(store, from_oci(registry))
        assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_UNREACHABLE, True)
        assert "arrived damaged" in refusal.message

        tensors.write_bytes(right)
        assert (await store.resolve(from_oci(registry))).digest == digest_of(pirate)


async def test_a_password_is_asked_for_and_may_be_rotated(store: ContentStore, pirate: Path, tmp_path: Path) -> None:
    with running_registry(tmp_path / "registry", password=True) as registry:
        registry.push(pirate)
        refusal = await refused(store, from_oci(registry))
        assert refusal.reason is Reason.UNAUTHORIZED
        assert "set source.credentialsRef" in refusal.message

        secret = mount_secret(tmp_path, {"username": LOGIN[0], "password": "wrong"})
        refusal = await refused(store, from_oci(registry, secret=secret))
        assert (refusal.reason, refusal.retryable) == (Reason.UNAUTHORIZED, True)
        assert "the login in Secret team does not open it" in refusal.message

        mount_secret(tmp_path, docker_config(registry.host, *LOGIN))
        assert (await store.resolve(from_oci(registry, secret=secret))).digest == digest_of(pirate)

        mount_secret(tmp_path, docker_config("another.registry", *LOGIN))
        refusal = await refused(store, from_oci(registry, secret=secret))
        assert f"a login for {registry.host} in its .dockerconfigjson" in refusal.message


async def test_a_token_is_fetched_from_where_the_registry_says(
    store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    with running_token_server() as tokens, running_registry(tmp_path / "registry", tokens=tokens) as registry:
        registry.push(pirate)
        secret = mount_secret(tmp_path, docker_config(registry.host, LOGIN[0], "wrong"))
        refusal = await refused(store, from_oci(registry, secret=secret))
        assert refusal.reason is Reason.UNAUTHORIZED

        mount_secret(tmp_path, docker_config(registry.host, *LOGIN))
        assert (await store.resolve(from_oci(registry, secret=secret))).digest == digest_of(pirate)
        assert tokens.asked[-1] == {"service": "registry", "scope": "repository:team/pirate:pull"}


async def test_a_registry_outside_the_list_is_refused(registry: Registry, tmp_path: Path) -> None:
    egress = Egress(allowed_hosts=("*.example.com",), allowed_addresses=LOOPBACK.allowed_addresses)
    refusal = await refused(open_at(tmp_path, egress), from_oci(registry))
    assert refusal.reason is Reason.SOURCE_FORBIDDEN
    assert "allows sources on *.example.com only, and 127.0.0.1 is none of them" in refusal.message
