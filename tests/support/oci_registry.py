"""A real container registry on this machine: open, with a password, or with tokens from a server of their own."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from support.programs import running
from support.runtime_process import free_port

LOGIN = ("pirate", "arr")
_BCRYPT = "$2b$04$QLeJaJr8BGTrqPgK5DP2XecnHb7Pw3BI3om4GjPhPwAZr/wfcxDwq"
"""Of the password above."""
_SERVICE, _ISSUER = "registry", "tokens"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_EMPTY = b"{}"


@dataclass(frozen=True)
class Registry:
    """A running registry."""

    port: int
    folder: Path
    tokens: TokenServer | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def blob(self, file: Path) -> Path:
        """Where the registry keeps the bytes of a file that was pushed."""
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return self.folder / "blobs/docker/registry/v2/blobs/sha256" / digest[:2] / digest / "data"

    def push(self, folder: Path, name: str = "team/pirate", tag: str = "v1", prefix: str = "") -> str:
        """Pushes the files of a folder as `oras push` does; returns the manifest's digest."""
        if self.tokens is None:
            auth: httpx.Auth | None = httpx.BasicAuth(*LOGIN)
            headers = {}
        else:
            auth, headers = None, {"Authorization": f"Bearer {self.tokens.token(name, ['pull', 'push'])}"}
        with httpx.Client(base_url=f"http://{self.host}/v2/{name}", auth=auth, headers=headers) as client:
            layers = [
                _blob(client, file.read_bytes())
                | {"annotations": {"org.opencontainers.image.title": prefix + file.name}}
                for file in sorted(folder.iterdir())
            ]
            manifest = {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "artifactType": "application/vnd.unknown.artifact.v1",
                "config": _blob(client, _EMPTY, "application/vnd.oci.empty.v1+json"),
                "layers": layers,
            }
            sent = client.put(
                f"/manifests/{tag}", content=json.dumps(manifest).encode(), headers={"Content-Type": _MANIFEST}
            )
            sent.raise_for_status()
        return str(sent.headers["Docker-Content-Digest"])


@contextmanager
def running_registry(folder: Path, *, password: bool = False, tokens: TokenServer | None = None) -> Iterator[Registry]:
    """A registry that keeps its blobs in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = {
        "REGISTRY_HTTP_ADDR": f"127.0.0.1:{port}",
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(folder / "blobs"),
        "OTEL_TRACES_EXPORTER": "none",
    }
    if password:
        (folder / "htpasswd").write_text(f"{LOGIN[0]}:{_BCRYPT}\n")
        settings |= {
            "REGISTRY_AUTH": "htpasswd",
            "REGISTRY_AUTH_HTPASSWD_REALM": "test",
            "REGISTRY_AUTH_HTPASSWD_PATH": str(folder / "htpasswd"),
        }
    if tokens is not None:
        (folder / "tokens.pem").write_bytes(tokens.certificate.public_bytes(serialization.Encoding.PEM))
        settings |= {
            "REGISTRY_AUTH": "token",
            "REGISTRY_AUTH_TOKEN_REALM": tokens.url,
            "REGISTRY_AUTH_TOKEN_SERVICE": _SERVICE,
            "REGISTRY_AUTH_TOKEN_ISSUER": _ISSUER,
            "REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE": str(folder / "tokens.pem"),
        }
    config = folder / "config.yaml"
    config.write_text("version: 0.1\nstorage: {filesystem: {rootdirectory: /nowhere}}\nhttp: {addr: ''}\n")
    with running("registry", ["serve", str(config)], folder / "log", port, settings):
        yield Registry(port, folder, tokens)


@dataclass
class TokenServer:
    """Gives tokens for a registry to those who know the login."""

    url: str
    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    asked: list[dict[str, str]] = field(default_factory=list)
    """The query of each request."""

    def token(self, name: str, actions: list[str]) -> str:
        """A token for one repository."""
        now = int(time.time())
        chain = base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()
        claims = {
            "iss": _ISSUER, "sub": LOGIN[0], "aud": _SERVICE, "iat": now, "nbf": now - 5, "exp": now + 60, "jti": "1",
            "access": [{"type": "repository", "name": name, "actions": actions}],
        }  # fmt: skip
        text = ".".join(_url64(json.dumps(part).encode()) for part in ({"alg": "RS256", "x5c": [chain]}, claims))
        return f"{text}.{_url64(self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@contextmanager
def running_token_server() -> Iterator[TokenServer]:
    """A token server on a free port."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _TokenHandler)
    server.daemon_threads = True
    tokens = TokenServer(f"http://127.0.0.1:{server.server_port}/token", key, _self_signed(key))
    server.tokens = tokens  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield tokens
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _TokenHandler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Keeps the test's output quiet."""

    def do_GET(self) -> None:
        tokens: TokenServer = self.server.tokens  # type: ignore[attr-defined]
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        tokens.asked.append(query)
        wanted = f"Basic {base64.b64encode(':'.join(LOGIN).encode()).decode()}"
        known = self.headers["Authorization"] == wanted
        body = b"{}"
        if known:
            name = query["scope"].split(":")[1]
            body = json.dumps({"token": tokens.token(name, ["pull"])}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _blob(client: httpx.Client, data: bytes, media_type: str = "application/octet-stream") -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    started = client.post("/blobs/uploads/")
    started.raise_for_status()
    client.put(
        httpx.URL(started.headers["Location"]).copy_merge_params({"digest": digest}), content=data
    ).raise_for_status()
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _self_signed(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _ISSUER)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
