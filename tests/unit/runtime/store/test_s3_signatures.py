"""Signed URLs against Signature Version 4 as Amazon documents it: no server here knows session tokens or bucket hosts.

Source: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" of the Amazon S3 API reference, whose
example is the first test.
"""

import hashlib
import hmac
from functools import reduce
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from lora_api.egress import Egress
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import SecretRef
from lora_api.v1alpha1.sources import S3Source
from lora_runtime.store.sources.object_store import S3Objects
from lora_runtime.store.sources.web import Web

SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = {"accessKeyId": "AKIAIOSFODNN7EXAMPLE", "secretAccessKey": SECRET_KEY}
TOKEN = "FwoGZXIvYXdzEJr//a+b=="


def signature_of(url: str, secret_key: str) -> str:
    """What a server computes for a signed GET."""
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "X-Amz-Signature"]
    named = dict(query)
    canonical = "\n".join([
        "GET",
        parts.path,
        "&".join(sorted(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)),
        f"host:{parts.netloc}\n",
        named["X-Amz-SignedHeaders"],
        "UNSIGNED-PAYLOAD",
    ])  # fmt: skip
    _, scope = named["X-Amz-Credential"].split("/", 1)
    to_sign = f"AWS4-HMAC-SHA256\n{named['X-Amz-Date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = reduce(_hmac, scope.split("/"), f"AWS4{secret_key}".encode())
    return _hmac(key, to_sign).hex()


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")


def signed(tmp_path: Path, keys: dict[str, str], **s3: object) -> str:
    """The URL at which a pod looks for an adapter's weights."""
    (tmp_path / "team").mkdir()
    for name, value in keys.items():
        (tmp_path / "team" / name).write_text(value, encoding="utf-8")
    source = AdapterSource(
        s3=S3Source.model_validate({"bucket": "adapters", "prefix": "a b/pirate+1", **s3}),
        credentials_ref=SecretRef(name="team"),
    )
    folder = S3Objects(Web(Egress(), 1 << 30), tmp_path)._folder(source)
    return folder.place("adapter_model.safetensors").url


def test_amazons_own_example_has_the_signature_that_amazon_gives() -> None:
    url = (
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    )
    assert signature_of(url, SECRET_KEY) == "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


@pytest.mark.parametrize(("s3", "place"), [
    ({"region": "eu-west-1"}, "https://adapters.s3.eu-west-1.amazonaws.com/"),
    ({"bucket": "with.dots"}, "https://s3.us-east-1.amazonaws.com/with.dots/"),
    ({"endpoint": "https://minio.example:9000"}, "https://minio.example:9000/adapters/"),
    ({"endpoint": "https://minio.example:9000/", "pathStyle": False}, "https://adapters.minio.example:9000/"),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("session", [{}, {"sessionToken": TOKEN}], ids=["lasting keys", "session keys"])
def test_buckets_are_found_and_signed_for_as_amazon_wants_it(
    tmp_path: Path, s3: dict[str, object], place: str, session: dict[str, str]
) -> None:
    url = signed(tmp_path, KEYS | session, **s3)
    query = dict(parse_qsl(urlsplit(url).query))
    assert url.startswith(f"{place}a%20b/pirate%2B1/adapter_model.safetensors?")
    assert query.get("X-Amz-Security-Token") == session.get("sessionToken")
    assert query["X-Amz-Signature"] == signature_of(url, SECRET_KEY)
