"""Adapters in buckets of S3-compatible stores and of Google Cloud Storage.

obstore signs the URLs, our own client fetches them: obstore looks up names and follows redirects by itself, and asks
the metadata service of the cloud for credentials when it has none, which sources must not reach.
"""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import obstore
from obstore.exceptions import BaseError
from obstore.store import GCSStore, S3Store

from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.sources import GCSSource, S3Source
from lora_runtime.adapters.errors import Refused, not_fetched
from lora_runtime.adapters.layout import split
from lora_runtime.store.progress import Progress
from lora_runtime.store.sources.credentials import no_credentials, read_key, read_text
from lora_runtime.store.sources.server_folder import ServerFolder, fetch_files, pin_etags
from lora_runtime.store.sources.web import Place, Web
from lora_runtime.store.sources.web_errors import Answered, explain

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Credential

_VALID = timedelta(minutes=15)
"""A signature is made for each request; a download that began goes on after it has expired."""
_REGION = re.compile(rb"<Region>([a-z0-9-]{1,64})</Region>|expecting (?:'|&#34;|&quot;)([a-z0-9-]{1,64})")
_UNUSABLE = (BaseError, ValueError, TypeError)
"""What obstore raises for keys and paths that it cannot sign with."""
_WRONG_KEYS = ("InvalidToken", "ExpiredToken", "XAdminUserNotFound")
"""Some servers answer these with 400 or 404."""


@dataclass(frozen=True, slots=True)
class S3Objects:
    """Reads `s3://<bucket>/<prefix>/`, or the GGUF file `s3://<bucket>/<prefix>`; pinned by ETags."""

    web: Web
    credentials_root: Path

    async def pin(self, source: AdapterSource) -> AdapterSource:
        """The source with the ETags that the objects have now."""
        s3 = _s3(source)
        etags = s3.etags or await pin_etags(self.web, self._folder(source))
        return source.model_copy(update={"s3": s3.model_copy(update={"etags": etags})})

    async def fetch(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        """Downloads the objects."""
        await fetch_files(self.web, self._folder(source), _s3(source).etags, into, progress)

    def _folder(self, source: AdapterSource) -> ServerFolder:
        ref = source.credentials_ref
        return _S3Folder(_s3(source), None if ref is None else ref.name, self.credentials_root)


@dataclass(frozen=True, slots=True)
class GCSObjects:
    """Reads `gs://<bucket>/<prefix>/`, or the GGUF file `gs://<bucket>/<prefix>`; pinned by ETags."""

    web: Web
    credentials_root: Path

    async def pin(self, source: AdapterSource) -> AdapterSource:
        """The source with the ETags that the objects have now."""
        gcs = _gcs(source)
        etags = gcs.etags or await pin_etags(self.web, self._folder(source))
        return source.model_copy(update={"gcs": gcs.model_copy(update={"etags": etags})})

    async def fetch(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        """Downloads the objects."""
        await fetch_files(self.web, self._folder(source), _gcs(source).etags, into, progress)

    def _folder(self, source: AdapterSource) -> ServerFolder:
        ref = source.credentials_ref
        return _GCSFolder(_gcs(source), None if ref is None else ref.name, self.credentials_root)


@dataclass(frozen=True, slots=True)
class _S3Folder:
    source: S3Source
    secret: str | None
    credentials_root: Path

    @property
    def where(self) -> str:
        return self.source.model_copy(update={"etags": None}).describe()

    @property
    def gguf(self) -> str | None:
        return split(self.source.prefix)[1]

    def place(self, name: str) -> Place:
        key = "/".join(filter(None, (split(self.source.prefix)[0].strip("/"), name)))
        keys = self._keys()
        try:
            # given as keys, they would be joined by AWS_SESSION_TOKEN of the pod's environment
            store = S3Store(self.source.bucket, credential_provider=lambda: keys, **self._config())
            url = obstore.sign(store, "GET", key, _VALID)
        except _UNUSABLE as error:
            raise _unusable(self.where, error) from None
        return Place(url if self.secret else url.partition("?")[0], f"{name} in {self.where}")

    def lacks(self, answer: Answered) -> bool:
        return _lacks_object(answer)

    def explain(self, answer: Answered, where: str) -> Refused:
        region = answer.headers.get("x-amz-bucket-region") or _named_region(answer.body)
        if answer.status in (301, 307, 400) and region is not None and region != self.source.signed_region:
            return not_fetched(
                Reason.SOURCE_NOT_FOUND,
                f"bucket {self.source.bucket} is in the region {region}; set source.s3.region",
                retryable=False,
            )
        if answer.code == "NoSuchBucket":
            return not_fetched(
                Reason.SOURCE_NOT_FOUND,
                f"the server of {where} has no bucket {self.source.bucket}; correct source.s3.bucket or source.s3.endpoint",
                retryable=True,
            )
        if answer.code in _WRONG_KEYS:
            answer = Answered(403, answer.headers, answer.body)
        return explain(answer, where, _remedy(self.secret, "the keys accessKeyId and secretAccessKey"))

    def _config(self) -> dict[str, Any]:
        return {
            "endpoint": self.source.server,
            "region": self.source.signed_region,
            "virtual_hosted_style_request": not self.source.in_path,
            "client_options": {"allow_http": True},
            # all that the environment could say otherwise
            "skip_signature": False,
            "s3_express": False,
            "request_payer": False,
        }

    def _keys(self) -> "S3Credential":
        if self.secret is None:
            # any keys at all, or obstore goes looking for some; the signature is cut off again
            return {"access_key_id": "none", "secret_access_key": "none", "token": None, "expires_at": None}
        access = self._key("accessKeyId", "AWS_ACCESS_KEY_ID")
        secret = self._key("secretAccessKey", "AWS_SECRET_ACCESS_KEY")
        token = self._key("sessionToken", "AWS_SESSION_TOKEN")
        if access is None or secret is None:
            raise no_credentials(self.secret, "the keys accessKeyId and secretAccessKey, with one word in each")
        return {"access_key_id": access, "secret_access_key": secret, "token": token, "expires_at": None}

    def _key(self, *names: str) -> str | None:
        return None if self.secret is None else read_key(self.credentials_root, self.secret, *names)


@dataclass(frozen=True, slots=True)
class _GCSFolder:
    source: GCSSource
    secret: str | None
    credentials_root: Path

    @property
    def where(self) -> str:
        return self.source.model_copy(update={"etags": None}).describe()

    @property
    def gguf(self) -> str | None:
        return split(self.source.prefix)[1]

    def place(self, name: str) -> Place:
        key = "/".join(filter(None, (split(self.source.prefix)[0].strip("/"), name)))
        endpoint = self.source.server
        where = f"{name} in {self.where}"
        if self.secret is None:
            return Place(f"{endpoint}/{self.source.bucket}/{quote(key)}", where)
        account = json.dumps(self._account(self.secret))
        options: ClientConfig = {"allow_http": True}
        try:
            store = GCSStore(self.source.bucket, service_account_key=account, base_url=endpoint, client_options=options)
            return Place(obstore.sign(store, "GET", key, _VALID), where)
        except _UNUSABLE as error:
            raise _unusable(self.where, error) from None

    def lacks(self, answer: Answered) -> bool:
        return _lacks_object(answer)

    def explain(self, answer: Answered, where: str) -> Refused:
        if answer.code == "NoSuchBucket":
            return not_fetched(
                Reason.SOURCE_NOT_FOUND,
                f"the server of {where} has no bucket {self.source.bucket}; correct source.gcs.bucket",
                retryable=True,
            )
        return explain(answer, where, _remedy(self.secret, "the key serviceAccountKey"))

    def _account(self, secret: str) -> dict[str, Any]:
        try:
            account = json.loads(read_text(self.credentials_root, secret, "serviceAccountKey") or "")
        except ValueError:
            account = None
        # without these, obstore asks a server to sign
        if not isinstance(account, dict) or not account.get("private_key") or not account.get("client_email"):
            raise no_credentials(secret, "the key serviceAccountKey with the JSON key of a service account")
        return account


def _s3(source: AdapterSource) -> S3Source:
    assert source.s3 is not None  # noqa: S101  (chosen by Sources.of)
    return source.s3


def _gcs(source: AdapterSource) -> GCSSource:
    assert source.gcs is not None  # noqa: S101  (chosen by Sources.of)
    return source.gcs


def _lacks_object(answer: Answered) -> bool:
    """A bucket that does not exist, or keys that nobody knows, are 404 too."""
    return answer.status == 404 and answer.code in ("", "NoSuchKey")


def _named_region(body: bytes) -> str | None:
    found = _REGION.search(body)
    return None if found is None else (found[1] or found[2]).decode()


def _remedy(secret: str | None, keys: str) -> str:
    if secret is None:
        return f"set source.credentialsRef to a Secret with {keys}"
    return f"the keys of Secret {secret} do not open it: grant them access, or put others there"


def _unusable(where: str, error: Exception) -> Refused:
    line = str(error).strip().splitlines()[0]
    return not_fetched(
        Reason.UNAUTHORIZED,
        f"a request for {where} cannot be signed: {line}; correct the Secret, or the source",
        retryable=True,
    )
