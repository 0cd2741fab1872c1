"""Real servers of objects on this machine: S3 with signatures that are checked, and Google Cloud Storage's API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import obstore
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from obstore.store import S3Store

from support.programs import running
from support.runtime_process import free_port

ACCESS_KEY, SECRET_KEY = "AKIAPIRATE", "arr-arr-arr-arr"
BUCKET = "adapters"


@dataclass(frozen=True)
class S3:
    """A running S3 server with one bucket."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, folder: Path, prefix: str = "pirate") -> None:
        """Uploads the files of a folder."""
        store = S3Store(
            BUCKET,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            client_options={"allow_http": True},
        )
        for file in folder.iterdir():
            obstore.put(store, f"{prefix}/{file.name}", file.read_bytes())


@dataclass(frozen=True)
class GCS:
    """A running server of Google Cloud Storage's API with one bucket. It believes every signature."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, folder: Path, prefix: str = "pirate") -> None:
        """Uploads the files of a folder."""
        for file in folder.iterdir():
            asked = {"uploadType": "media", "name": f"{prefix}/{file.name}"}
            url = f"{self.endpoint}/upload/storage/v1/b/{BUCKET}/o"
            httpx.post(url, params=asked, content=file.read_bytes()).raise_for_status()


@contextmanager
def running_s3(folder: Path) -> Iterator[S3]:
    """An S3 server that keeps its objects in a folder."""
    (folder / "objects" / BUCKET).mkdir(parents=True)
    (folder / "metadata").mkdir()
    port = free_port()
    keys = ["--access", ACCESS_KEY, "--secret", SECRET_KEY]
    where = ["posix", "--sidecar", str(folder / "metadata"), str(folder / "objects")]
    with running("versitygw", [*keys, "--port", f"127.0.0.1:{port}", *where], folder / "log", port):
        yield S3(port)


@contextmanager
def running_gcs(folder: Path) -> Iterator[GCS]:
    """A server of Google Cloud Storage's API that keeps its objects in memory."""
    port = free_port()
    told = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    with running("fake-gcs-server", [*told, "-public-host", f"127.0.0.1:{port}"], folder / "log", port):
        httpx.post(f"http://127.0.0.1:{port}/storage/v1/b", json={"name": BUCKET}).raise_for_status()
        yield GCS(port)


def a_service_account() -> str:
    """The JSON key of an account that nobody knows."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    account = {
        "type": "service_account",
        "private_key": pem.decode(),
        "private_key_id": "1",
        "client_email": "pirate@team.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return json.dumps(account)
