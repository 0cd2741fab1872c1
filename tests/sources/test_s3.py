"""Adapters from a real S3 server, which checks signatures."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_api.egress import Egress
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused
from lora_runtime.adapters.layout import GGUF_FILE
from lora_runtime.store.content import ContentStore
from lora_runtime.store.digest import digest_of
from support.cutting import cutting
from support.object_servers import ACCESS_KEY, BUCKET, S3, SECRET_KEY
from support.stores import a_source, an_adapter_of, mount_secret, open_at, refused

pytestmark = pytest.mark.sources

KEYS = {"accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY}


def from_s3(s3: S3, tmp_path: Path, prefix: str, keys: dict[str, str] | None = None, **more: object) -> AdapterSource:
    secret = mount_secret(tmp_path, KEYS if keys is None else keys)
    return a_source("s3", secret, **{"bucket": BUCKET, "prefix": prefix, "endpoint": s3.endpoint} | more)


async def test_objects_are_fetched_and_pinned_to_their_etags(
    s3: S3, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    s3.put(pirate, "a folder/pirate+v1")
    resolved = await store.resolve(from_s3(s3, tmp_path, "a folder/pirate+v1"))
    assert resolved.digest == digest_of(pirate)
    assert resolved.source.s3 is not None
    assert resolved.source.s3.etags is not None
    assert resolved.source.describe() == (
        f"s3://{BUCKET}/a folder/pirate+v1 at {s3.endpoint}@{resolved.source.s3.etags.tensors}"
    )


async def test_the_key_of_a_gguf_file_is_that_one_object(s3: S3, store: ContentStore, tmp_path: Path) -> None:
    folder = tmp_path / "gguf"
    folder.mkdir()
    (folder / GGUF_FILE).write_bytes(b"GGUF of a pirate" * 4096)
    s3.put(folder, "a folder")
    resolved = await store.resolve(from_s3(s3, tmp_path, f"a folder/{GGUF_FILE}"))
    assert resolved.digest == digest_of(folder)
    assert resolved.source.s3 is not None
    assert resolved.source.s3.etags is not None
    assert resolved.source.s3.etags.config is None


async def test_the_names_that_amazons_tools_use_are_keys_too(
    s3: S3, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    s3.put(pirate, "aws-names")
    keys = {"AWS_ACCESS_KEY_ID": f"{ACCESS_KEY}\n", "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    assert (await store.resolve(from_s3(s3, tmp_path, "aws-names", keys))).digest == digest_of(pirate)


async def test_the_pods_environment_adds_nothing_to_the_keys(
    s3: S3, store: ContentStore, pirate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put(pirate, "environment")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of the pod")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    assert (await store.resolve(from_s3(s3, tmp_path, "environment"))).digest == digest_of(pirate)


@pytest.mark.parametrize(
    "wrong", [{"secretAccessKey": "wrong"}, {"accessKeyId": "NOBODY"}, {"sessionToken": "made-up"}], ids=str
)
async def test_wrong_keys_are_unauthorized_and_right_ones_work_without_a_restart(
    s3: S3, store: ContentStore, pirate: Path, tmp_path: Path, wrong: dict[str, str]
) -> None:
    s3.put(pirate, "locked")
    refusal = await refused(store, from_s3(s3, tmp_path, "locked", KEYS | wrong))
    assert (refusal.reason, refusal.retryable) == (Reason.UNAUTHORIZED, True)
    assert "Secret team" in refusal.message
    assert not any(value in refusal.message for value in (*KEYS.values(), *wrong.values()))

    assert (await store.resolve(from_s3(s3, tmp_path, "locked"))).digest == digest_of(pirate)


async def test_without_credentials_the_request_is_not_signed(s3: S3, store: ContentStore, pirate: Path) -> None:
    s3.put(pirate, "not-public")
    source = a_source("s3", bucket=BUCKET, prefix="not-public", endpoint=s3.endpoint)
    refusal = await refused(store, source)
    assert refusal.reason is Reason.UNAUTHORIZED
    assert "AccessDenied" in refusal.message
    assert "set source.credentialsRef" in refusal.message


async def test_a_secret_that_lacks_a_key_is_told_which(s3: S3, store: ContentStore, tmp_path: Path) -> None:
    refusal = await refused(store, from_s3(s3, tmp_path, "any", {"accessKeyId": ACCESS_KEY}))
    assert refusal.reason is Reason.UNAUTHORIZED
    assert "the Secret needs the keys accessKeyId and secretAccessKey" in refusal.message


async def test_a_missing_bucket_is_named(s3: S3, store: ContentStore, tmp_path: Path) -> None:
    refusal = await refused(store, from_s3(s3, tmp_path, "pirate", bucket="no-such-bucket"))
    assert refusal.reason is Reason.SOURCE_NOT_FOUND
    assert "has no bucket no-such-bucket" in refusal.message


async def test_missing_objects_are_named(s3: S3, store: ContentStore, pirate: Path, tmp_path: Path) -> None:
    (pirate / "adapter_model.safetensors").rename(pirate / "adapter_model.bin")
    s3.put(pirate, "pickled")
    refusal = await refused(store, from_s3(s3, tmp_path, "pickled"))
    assert refusal.reason is Reason.UNSAFE_FORMAT

    refusal = await refused(store, from_s3(s3, tmp_path, "nothing-here"))
    assert refusal.reason is Reason.SOURCE_NOT_FOUND
    assert "has no adapter_config.json and no adapter_model.safetensors" in refusal.message


async def test_the_right_region_is_told(s3: S3, store: ContentStore, pirate: Path, tmp_path: Path) -> None:
    s3.put(pirate, "here")
    refusal = await refused(store, from_s3(s3, tmp_path, "here", region="eu-west-1"))
    assert refusal.reason is Reason.SOURCE_NOT_FOUND
    assert "is in the region us-east-1; set source.s3.region" in refusal.message


async def test_what_is_too_large_is_refused_before_it_is_fetched(s3: S3, pirate: Path, tmp_path: Path) -> None:
    s3.put(pirate, "large")
    refusal = await refused(open_at(tmp_path, max_bytes=1 << 20), from_s3(s3, tmp_path, "large"))
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_TOO_LARGE, False)
    assert not list((tmp_path / "store" / "incoming").iterdir())


async def test_a_cut_download_goes_on_where_it_stopped(
    s3: S3, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    s3.put(pirate, "cut")
    with cutting(s3.port) as way:
        way.cut_after = (2 << 20) + 4096
        source = from_s3(s3, tmp_path, "cut", endpoint=f"http://{way.address}")
        refusal = await refused(store, source)
        assert (refusal.reason, refusal.retryable, way.cuts) == (Reason.SOURCE_UNREACHABLE, True, 1)

        told: list[tuple[int, int | None]] = []
        resolved = await store.resolve(source, progress=lambda done, total: told.append((done, total)))
    assert resolved.digest == digest_of(pirate)
    assert told[0] == (2 << 20, told[0][1])


async def test_replaced_objects_are_not_taken_for_the_pinned_ones(
    s3: S3, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    s3.put(pirate, "moving")
    pinned = await store.resolve(from_s3(s3, tmp_path, "moving"))
    s3.put(an_adapter_of(tmp_path / "other", seed=b"parrot"), "moving")

    (tmp_path / "new pod").mkdir()
    mount_secret(tmp_path / "new pod", KEYS)
    with pytest.raises(Refused) as caught:
        await open_at(tmp_path / "new pod").ensure(pinned.source, pinned.digest)
    assert caught.value.refusal.reason is Reason.DIGEST_MISMATCH
    assert "lora-operator.io/refresh" in caught.value.refusal.message
    assert await store.ensure(pinned.source, pinned.digest) == pinned.folder


async def test_an_endpoint_on_loopback_is_refused_unless_it_is_allowed(s3: S3, pirate: Path, tmp_path: Path) -> None:
    s3.put(pirate, "inside")
    refusal = await refused(open_at(tmp_path, Egress()), from_s3(s3, tmp_path, "inside"))
    assert refusal.reason is Reason.SOURCE_FORBIDDEN
    assert "127.0.0.1 is a loopback, link-local or metadata address" in refusal.message
