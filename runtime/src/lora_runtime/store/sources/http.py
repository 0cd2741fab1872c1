"""Adapters on a web server: a folder, or a GGUF file."""

import asyncio
import base64
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.sources import HTTPSource
from lora_runtime.adapters.errors import TENSORS_FILE, Refused, not_fetched
from lora_runtime.adapters.layout import split, tensors_in
from lora_runtime.store.digest import sha256_of
from lora_runtime.store.progress import Progress
from lora_runtime.store.sources.credentials import no_credentials, read_key
from lora_runtime.store.sources.server_folder import fetch_files, pin_etags
from lora_runtime.store.sources.web import Place, Web
from lora_runtime.store.sources.web_errors import Answered, explain

_MISSING = (404, 410)


@dataclass(frozen=True, slots=True)
class HTTPFiles:
    """Reads `<url>/adapter_config.json` and `<url>/adapter_model.safetensors`, or the GGUF file at `<url>`; pinned by ETags."""

    web: Web
    credentials_root: Path

    async def pin(self, source: AdapterSource) -> AdapterSource:
        """The source with the ETags that the files have now."""
        http = _http(source)
        etags = http.etags or await pin_etags(self.web, self._folder(source))
        return source.model_copy(update={"http": http.model_copy(update={"etags": etags})})

    async def fetch(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        """Downloads the files, and compares the tensors with `sha256` where that is given."""
        http = _http(source)
        await fetch_files(self.web, self._folder(source), http.etags, into, progress)
        if http.sha256 is None:
            return
        found = await asyncio.to_thread(sha256_of, tensors_in(into))
        if found != http.sha256:
            raise _other_bytes(http, found)

    def _folder(self, source: AdapterSource) -> "_WebFolder":
        ref = source.credentials_ref
        return _WebFolder(_http(source).url.rstrip("/"), None if ref is None else ref.name, self.credentials_root)


@dataclass(frozen=True, slots=True)
class _WebFolder:
    url: str
    secret: str | None
    credentials_root: Path

    @property
    def where(self) -> str:
        return self.url

    @property
    def gguf(self) -> str | None:
        return _split(self.url)[1]

    def place(self, name: str) -> Place:
        folder, _ = _split(self.url)
        return Place(f"{folder}/{name}", f"{name} at {folder}", self._authorization())

    def lacks(self, answer: Answered) -> bool:
        return answer.status in _MISSING

    def explain(self, answer: Answered, where: str) -> Refused:
        remedy = (
            "set source.credentialsRef to a Secret with the key token, or username and password"
            if self.secret is None
            else f"Secret {self.secret} does not open it: put other credentials there"
        )
        # Only what the protocol defines is shown: the body of any server inside the cluster could be read otherwise.
        return explain(Answered(answer.status, answer.headers, b""), where, remedy)

    def _authorization(self) -> dict[str, str]:
        if self.secret is None:
            return {}
        token = read_key(self.credentials_root, self.secret, "token")
        if token is not None:
            return {"Authorization": f"Bearer {token}"}
        username = read_key(self.credentials_root, self.secret, "username")
        password = read_key(self.credentials_root, self.secret, "password")
        if username is None or password is None:
            raise no_credentials(self.secret, "the key token, or the keys username and password, with one word in each")
        return {"Authorization": f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"}


def _split(url: str) -> tuple[str, str | None]:
    """See layout.split; the name of a server is not the name of a file."""
    return split(url) if urlsplit(url).path.strip("/") else (url, None)


def _http(source: AdapterSource) -> HTTPSource:
    assert source.http is not None  # noqa: S101  (chosen by Sources.of)
    return source.http


def _other_bytes(source: HTTPSource, found: str) -> Refused:
    folder, gguf = _split(source.url.rstrip("/"))
    return not_fetched(
        Reason.DIGEST_MISMATCH,
        f"{gguf or TENSORS_FILE} at {folder} has the SHA-256 {found}, but source.http.sha256 is {source.sha256}; "
        f"correct source.http.sha256 or put the right file there, and change the annotation lora-operator.io/refresh",
        retryable=False,
    )
