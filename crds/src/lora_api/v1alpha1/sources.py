"""Places on other servers that adapters come from: S3, Google Cloud Storage, HTTP, and OCI registries."""

import json
from typing import Annotated

from pydantic import ConfigDict, Field

from lora_api.v1alpha1 import common

_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
_DIGEST_ENDING = r"(@sha256:[a-f0-9]{64})?"
BUCKET_FORM = r"^[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]$"
SERVER_FORM = rf"^https?://{_HOST}/?$"
URL_FORM = rf"^https?://{_HOST}(/[!-~]*)?$"
ARTIFACT_FORM = (
    rf"^{_HOST}/[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    rf"(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?{_DIGEST_ENDING}$"
)

ADDRESS_FORM = r"^https?://(\[|[0-9]+(\.[0-9]+)*(:|/|$))"
"""How the URL of a server begins that has no name: no host can be called `bucket.10.0.0.7`."""

Endpoint = Annotated[str, Field(max_length=512, pattern=SERVER_FORM)]
Bucket = Annotated[str, Field(min_length=3, max_length=222, pattern=BUCKET_FORM)]
ETag = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[!-~]+$")]
Prefix = Annotated[
    str,
    Field(
        max_length=1024,
        description=(
            "Folder inside the bucket that holds adapter_config.json and adapter_model.safetensors, or the key of a file "
            "that ends with .gguf; the bucket's root when empty."
        ),
        json_schema_extra=common.cel(
            (
                "!self.startsWith('/') && !self.contains('//') && !self.split('/').exists(part, part == '..' || part == '.')",
                "must be a path inside the bucket, without a leading '/', '//', '.' or '..'",
            ),
        ),
    ),
]


class ETags(common.ApiModel):
    """The version of the files, as their server names it."""

    config: ETag | None = Field(
        default=None, description="ETag that the server gives adapter_config.json; unset for a GGUF file."
    )
    tensors: ETag = Field(description="ETag that the server gives adapter_model.safetensors, or the GGUF file.")


_ETAGS = (
    "Accept only files with these ETags. The operator writes them into status.resolvedSource; leave them out in a spec."
)


class S3Source(common.ApiModel):
    """A folder in a bucket of Amazon S3, or of a server that speaks its protocol."""

    model_config = ConfigDict(
        json_schema_extra=common.cel(
            (
                "!has(self.endpoint) || !has(self.pathStyle) || self.pathStyle"
                f" || !self.endpoint.matches({json.dumps(ADDRESS_FORM)})",
                "pathStyle must be true or unset with an endpoint that is an IP address: no server is called <bucket>.<address>",
            )
        )
    )

    bucket: Bucket = Field(description="Name of the bucket.")
    prefix: Prefix = ""
    endpoint: Endpoint | None = Field(
        default=None, description="URL of the server, as in `https://minio.storage.svc:9000`; Amazon's own when unset."
    )
    region: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description="Region of the bucket; us-east-1 when unset.",
    )
    path_style: bool | None = Field(
        default=None,
        description=(
            "True: `https://endpoint/bucket/…`, false: `https://bucket.endpoint/…`. When unset, true with an endpoint "
            "and false without."
        ),
    )
    etags: ETags | None = Field(default=None, description=_ETAGS)

    @property
    def signed_region(self) -> str:
        """The region that requests are signed for."""
        return self.region or "us-east-1"

    @property
    def in_path(self) -> bool:
        """Whether the bucket's name is in the path; else it is in front of the server's name."""
        if self.path_style is not None:
            return self.path_style
        # a name with dots is on no certificate for *.s3.amazonaws.com
        return self.endpoint is not None or "." in self.bucket

    @property
    def server(self) -> str:
        """The URL of the server that is asked, without a path."""
        endpoint = (self.endpoint or f"https://s3.{self.signed_region}.amazonaws.com").rstrip("/")
        return endpoint if self.in_path else endpoint.replace("://", f"://{self.bucket}.", 1)

    def describe(self) -> str:
        """The source in one short line."""
        return f"s3://{_folder(self.bucket, self.prefix)}{_at(self.endpoint)}{_version(self.etags)}"


class GCSSource(common.ApiModel):
    """A folder in a bucket of Google Cloud Storage."""

    bucket: Bucket = Field(description="Name of the bucket.")
    prefix: Prefix = ""
    endpoint: Endpoint | None = Field(
        default=None, description="URL of another server with the same API; Google's own when unset."
    )
    etags: ETags | None = Field(default=None, description=_ETAGS)

    @property
    def server(self) -> str:
        """The URL of the server that is asked, without a path."""
        return (self.endpoint or "https://storage.googleapis.com").rstrip("/")

    def describe(self) -> str:
        """The source in one short line."""
        return f"gs://{_folder(self.bucket, self.prefix)}{_at(self.endpoint)}{_version(self.etags)}"


class HTTPSource(common.ApiModel):
    """A folder on a web server."""

    url: str = Field(
        max_length=2048,
        pattern=URL_FORM,
        description=(
            "URL of the folder that holds adapter_config.json and adapter_model.safetensors, or of a file that ends "
            "with .gguf."
        ),
        json_schema_extra=common.cel(
            (
                "!self.contains('?') && !self.contains('#')",
                "must be the URL of a folder or file, without '?' and '#'; keep secrets in the Secret of credentialsRef",
            )
        ),
    )
    sha256: str | None = Field(
        default=None,
        max_length=64,
        pattern=r"^[a-f0-9]{64}$",
        description="What `sha256sum` prints for adapter_model.safetensors or the GGUF file; any other file is refused.",
    )
    etags: ETags | None = Field(default=None, description=_ETAGS)

    @property
    def server(self) -> str:
        """A URL of the server that is asked."""
        return self.url

    def describe(self) -> str:
        """The source in one short line."""
        return f"{self.url.rstrip('/')}{_version(self.etags)}"


class OCISource(common.ApiModel):
    """An artifact in a container registry, as `oras push` makes it."""

    reference: str = Field(
        max_length=512,
        pattern=ARTIFACT_FORM,
        description=(
            "`registry/repository:tag`, `registry/repository@sha256:…`, or both; the tag latest when there is neither. "
            "A tag is resolved to its digest once."
        ),
    )
    plain_http: bool = Field(
        default=False, alias="plainHTTP", description="Speak HTTP without TLS; for registries inside the cluster."
    )

    @property
    def server(self) -> str:
        """A URL of the registry, as the reference names it."""
        return f"oci://{self.reference}"

    def describe(self) -> str:
        """The source in one short line."""
        return f"oci://{self.reference}"


def _folder(bucket: str, prefix: str) -> str:
    return f"{bucket}/{prefix.strip('/')}".rstrip("/")


def _at(endpoint: str | None) -> str:
    return "" if endpoint is None else f" at {endpoint.rstrip('/')}"


def _version(etags: ETags | None) -> str:
    """The tensors' ETag: the config's seldom tells versions apart."""
    return "" if etags is None else f"@{etags.tensors}"
