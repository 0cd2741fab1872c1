"""The rules of a LoRAAdapter that an API server checks by CEL and the types do not. Pure."""

import re
from collections.abc import Iterator

from lora_api.v1alpha1.adapter import AdapterSource, LoRAAdapterSpec, Verify
from lora_api.v1alpha1.blend import Blend, BlendMethod
from lora_api.v1alpha1.sources import ADDRESS_FORM

_PLACES = ("hugging_face", "volume", "s3", "gcs", "http", "oci")
_MERGES = (BlendMethod.TIES, BlendMethod.DARE)


def problems(spec: LoRAAdapterSpec) -> Iterator[str]:
    """What is wrong with it, in the words of the API server."""
    if (spec.source is None) is (spec.blend is None):
        yield "exactly one of source, blend must be set"
    if spec.digest is not None and spec.source is None:
        yield "digest may only be set together with source"
    if spec.source is not None:
        yield from of_source(spec.source)
    if spec.blend is not None:
        yield from _of_blend(spec.blend)
    if spec.verify is not None:
        yield from _of_verify(spec.verify)


def of_source(source: AdapterSource) -> Iterator[str]:
    """What is wrong with where files are to come from."""
    if sum(getattr(source, place) is not None for place in _PLACES) != 1:
        yield "source: exactly one of huggingFace, volume, s3, gcs, http, oci must be set"
    hub, volume = source.hugging_face, source.volume
    for where, path in (
        ("huggingFace.subfolder", None if hub is None else hub.subfolder),
        ("volume.path", None if volume is None else volume.path),
    ):
        if path is not None and (path.startswith("/") or ".." in path.split("/")):
            yield f"source.{where}: must be a relative path without '..'"
    for where, store in (("s3", source.s3), ("gcs", source.gcs)):
        if store is not None and not _is_inside(store.prefix):
            yield f"source.{where}.prefix: must be a path inside the bucket, without a leading '/', '//', '.' or '..'"
    s3 = source.s3
    if s3 is not None and s3.endpoint is not None and not s3.in_path and re.match(ADDRESS_FORM, s3.endpoint):
        yield (
            "source.s3: pathStyle must be true or unset with an endpoint that is an IP address: "
            "no server is called <bucket>.<address>"
        )
    if source.http is not None and ("?" in source.http.url or "#" in source.http.url):
        yield "source.http.url: must be the URL of a folder or file, without '?' and '#'; keep secrets in the Secret of credentialsRef"


def _is_inside(prefix: str) -> bool:
    return not prefix.startswith("/") and "//" not in prefix and not {".", ".."} & set(prefix.split("/"))


def _of_blend(blend: Blend) -> Iterator[str]:
    if blend.rank is not None and blend.method is BlendMethod.CONCAT:
        yield "blend: rank may only be set with method SVD, TIES or DARE"
    if blend.density is not None and blend.method not in _MERGES:
        yield "blend: density may only be set with method TIES or DARE"
    if blend.seed is not None and blend.method is not BlendMethod.DARE:
        yield "blend: seed may only be set with method DARE"
    if len({member.adapter_ref.name for member in blend.members}) != len(blend.members):
        yield "blend.members: must name each adapter once"


def _of_verify(verify: Verify) -> Iterator[str]:
    if (verify.contains is None) is (verify.sha256 is None):
        yield "verify: exactly one of contains, sha256 must be set"
