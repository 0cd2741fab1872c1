"""Adapters from a server of Google Cloud Storage's API. It believes every signature, so that wrong keys are not tried here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.store.content import ContentStore
from lora_runtime.store.digest import digest_of
from support.object_servers import BUCKET, GCS, a_service_account
from support.stores import a_source, mount_secret, refused

pytestmark = pytest.mark.sources


def from_gcs(gcs: GCS, prefix: str, secret: str | None = None) -> AdapterSource:
    return a_source("gcs", secret, bucket=BUCKET, prefix=prefix, endpoint=gcs.endpoint)


@pytest.mark.parametrize("signed", [False, True])
async def test_objects_are_fetched_and_pinned_to_their_etags(
    gcs: GCS, store: ContentStore, pirate: Path, tmp_path: Path, signed: bool
) -> None:
    gcs.put(pirate, "a folder/pirate+v1")
    secret = mount_secret(tmp_path, {"serviceAccountKey": a_service_account()}) if signed else None
    resolved = await store.resolve(from_gcs(gcs, "a folder/pirate+v1", secret))
    assert resolved.digest == digest_of(pirate)
    assert resolved.source.gcs is not None
    assert resolved.source.gcs.etags is not None


@pytest.mark.parametrize(
    "key", ["", "no json", "{}", '{"private_key": "no key", "client_email": "pirate@team.iam.gserviceaccount.com"}']
)
async def test_a_key_that_is_none_is_refused_without_asking_anybody(
    gcs: GCS, store: ContentStore, tmp_path: Path, key: str
) -> None:
    refusal = await refused(store, from_gcs(gcs, "any", mount_secret(tmp_path, {"serviceAccountKey": key})))
    assert (refusal.reason, refusal.retryable) == (Reason.UNAUTHORIZED, True)


@pytest.mark.parametrize("more", [{"prefix": "nothing-here"}, {"bucket": "no-such-bucket"}], ids=str)
async def test_what_is_missing_is_named(gcs: GCS, store: ContentStore, more: dict[str, object]) -> None:
    where: dict[str, Any] = {"bucket": BUCKET, "prefix": "any", "endpoint": gcs.endpoint}
    refusal = await refused(store, a_source("gcs", **where | more))
    assert refusal.reason is Reason.SOURCE_NOT_FOUND
    assert str(*more.values()) in refusal.message
