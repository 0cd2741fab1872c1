"""Adapters as artifacts in container registries: one layer for each file, named by its title, as `oras push` makes them."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.sources import OCISource
from lora_runtime.adapters.errors import not_fetched
from lora_runtime.adapters.layout import choose
from lora_runtime.store.digest import sha256_of
from lora_runtime.store.progress import Progress
from lora_runtime.store.sources.meter import Meter
from lora_runtime.store.sources.registry import Repository, read_login
from lora_runtime.store.sources.source import too_large
from lora_runtime.store.sources.web import Place, Session, Web
from lora_runtime.store.sources.web_errors import Answered, damaged, explain

_MANIFEST_BYTES = 4 << 20
"""More than registries accept."""
_MANIFEST_TYPES = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_TITLE = "org.opencontainers.image.title"
_REFERENCE = re.compile(
    r"(?P<registry>[^/]+)/(?P<name>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[a-f0-9]{64}))?"
)


class _Layer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)

    digest: Annotated[str, Field(pattern=r"^sha256:[a-f0-9]{64}$")]
    size: Annotated[int, Field(ge=0)]
    annotations: dict[str, str] = {}

    @property
    def title(self) -> str:
        return self.annotations.get(_TITLE, "a file without a title")


class _Manifest(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)

    layers: tuple[_Layer, ...]


@dataclass(frozen=True, slots=True)
class OCIArtifacts:
    """Reads adapters from registries; a tag is pinned to the digest of its manifest."""

    web: Web
    credentials_root: Path

    async def pin(self, source: AdapterSource) -> AdapterSource:
        """The source with the digest that its tag names now."""
        oci = _oci(source)
        async with self.web.session() as session:
            digest, _ = await self._manifest(self._artifact(session, source))
        reference = f"{oci.reference.partition('@')[0]}@{digest}"
        return source.model_copy(update={"oci": oci.model_copy(update={"reference": reference})})

    async def fetch(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        """Downloads the files and verifies their digests; goes on where an interrupted download stopped."""
        async with self.web.session() as session:
            artifact = self._artifact(session, source)
            _, layers = await self._manifest(artifact)
            total = sum(layer.size for layer in layers.values())
            meter = Meter(self.web.max_bytes, artifact.where, progress, total)
            for name, layer in layers.items():
                await artifact.download(layer, into / name, meter)

    async def _manifest(self, artifact: "_Artifact") -> tuple[str, dict[str, _Layer]]:
        digest, layers = await artifact.manifest()
        size = sum(layer.size for layer in layers.values())
        if size > self.web.max_bytes:
            raise too_large(artifact.where, size, self.web.max_bytes)
        return digest, layers

    def _artifact(self, session: Session, source: AdapterSource) -> "_Artifact":
        oci, ref = _oci(source), source.credentials_ref
        found = _REFERENCE.fullmatch(oci.reference)
        assert found is not None  # noqa: S101  (the type's pattern says so)
        registry, name, tag, digest = found.groups()
        login = None if ref is None else read_login(self.credentials_root, ref.name, registry)
        repository = Repository(session, registry, name, login, plain_http=oci.plain_http)
        remedy = (
            "set source.credentialsRef to a Secret with .dockerconfigjson, or username and password"
            if ref is None
            else f"the login in Secret {ref.name} does not open it: grant it access, or put another one there"
        )
        return _Artifact(session, repository, oci.describe(), tag, digest, remedy)


@dataclass(frozen=True, slots=True)
class _Artifact:
    session: Session
    repository: Repository
    where: str
    tag: str | None
    digest: str | None
    remedy: str

    async def manifest(self) -> tuple[str, dict[str, _Layer]]:
        """The manifest's digest, and the layer of each file by its name in the store."""

        async def read(place: Place) -> bytes:
            return await self.session.read(place, _MANIFEST_BYTES, {"Accept": ", ".join(_MANIFEST_TYPES)})

        path = f"manifests/{self.digest or self.tag or 'latest'}"
        try:
            body = await self.repository.ask(path, self.where, read)
        except Answered as answer:
            raise explain(answer, self.where, self.remedy) from answer
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if self.digest not in (None, digest):
            raise damaged(self.where)
        return digest, _layers(self.where, body)

    async def download(self, layer: _Layer, target: Path, meter: Meter) -> None:
        """Gets one file."""
        where = f"{target.name} of {self.where}"

        async def get(place: Place) -> None:
            await self.session.download(place, target, meter, etag=None, resume=True)

        try:
            await self.repository.ask(f"blobs/{layer.digest}", where, get)
        except Answered as answer:
            raise explain(answer, where, self.remedy) from answer
        if not await asyncio.to_thread(_is_whole, target, layer.digest):
            raise damaged(where)


def _layers(where: str, body: bytes) -> dict[str, _Layer]:
    try:
        layers = _Manifest.model_validate_json(body).layers
    except ValidationError as error:
        raise not_fetched(
            Reason.SOURCE_NOT_FOUND,
            f"{where} is no artifact with layers (an index of several images, perhaps); push the two files with "
            f"`oras push` from inside their folder",
            retryable=True,
        ) from error
    by_title = {layer.title: layer for layer in layers}
    return {name: by_title[title] for name, title in choose(where, by_title).items()}


def _is_whole(path: Path, digest: str) -> bool:
    """Whether the file has this digest; else it is removed."""
    found = f"sha256:{sha256_of(path)}"
    if found != digest:
        path.unlink()
    return found == digest


def _oci(source: AdapterSource) -> OCISource:
    assert source.oci is not None  # noqa: S101  (chosen by Sources.of)
    return source.oci
