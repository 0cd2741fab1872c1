"""Where files come from, in one word: `hf://team/pirate@v3`, `s3://bucket/folder`, `oci://host/repo:tag`, `volume/path`."""

from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import ValidationError

from lora_api.error_codes import ErrorCode
from lora_api.local_api import DISK
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import VolumeSource
from lora_cli.errors import Failed

FORMS = (
    "hf://owner/repo[/folder][@revision], s3://bucket/folder[?endpoint=URL&region=R], gs://bucket/folder, "
    "https://host/folder[#sha256=HEX], oci://registry/repo:tag (oci+http:// without TLS), or VOLUME/folder"
)


def parse_source(text: str, credentials: str | None = None) -> AdapterSource:
    """The source that a word names.

    Args:
        text: In one of FORMS.
        credentials: Name of the Secret to read it with.

    Raises:
        Failed: it is in none of them, or what it names cannot exist.
    """
    fields = _fields(text)
    if credentials is not None:
        fields["credentialsRef"] = {"name": credentials}
    try:
        return AdapterSource.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _unclear(text, f"{where}: {first['msg']}") from error


def is_path(text: str) -> bool:
    """Whether a word names a place on a disk, as a shell would write it."""
    return text.startswith((".", "/", "~"))


def on_disk(absolute: str) -> AdapterSource:
    """A folder or file of the machine that a server without a cluster runs on."""
    return AdapterSource(volume=VolumeSource(name=DISK, path=absolute.strip("/") or "."))


def _fields(text: str) -> dict[str, object]:
    scheme, found, rest = text.partition("://")
    if not found:
        return _volume(text)
    match scheme.lower():
        case "hf":
            return _hub(rest)
        case "s3":
            return {"s3": _bucket(text, {"endpoint", "region"})}
        case "gs":
            return {"gcs": _bucket(text, {"endpoint"})}
        case "http" | "https":
            return {"http": _web(text)}
        case "oci":
            return {"oci": {"reference": rest}}
        case "oci+http":
            return {"oci": {"reference": rest, "plainHTTP": True}}
        case "volume":
            return _volume(rest)
        case _:
            raise _unclear(text, f"there is no kind of source {scheme}://")


def _hub(rest: str) -> dict[str, object]:
    place, _, revision = rest.partition("@")
    parts = [part for part in place.split("/") if part]
    hub: dict[str, object] = {"repo": "/".join(parts[:2])}
    if parts[2:]:
        hub["subfolder"] = "/".join(parts[2:])
    if revision:
        hub["revision"] = revision
    return {"huggingFace": hub}


def _bucket(text: str, known: set[str]) -> dict[str, object]:
    url = urlsplit(text)
    options = dict(parse_qsl(url.query))
    if unknown := options.keys() - known:
        raise _unclear(text, f"{', '.join(sorted(unknown))} is none of the options {', '.join(sorted(known))}")
    return {"bucket": url.netloc, "prefix": unquote(url.path).strip("/"), **options}


def _web(text: str) -> dict[str, object]:
    url, _, fragment = text.partition("#")
    if not fragment:
        return {"url": url}
    name, _, value = fragment.partition("=")
    if name != "sha256":
        raise _unclear(text, "after '#' only sha256=HEX may stand")
    return {"url": url, "sha256": value}


def _volume(text: str) -> dict[str, object]:
    name, _, path = text.partition("/")
    return {"volume": {"name": name, "path": path.strip("/") or "."}}


def _unclear(text: str, why: str) -> Failed:
    return Failed(ErrorCode.INVALID, f"{text!r} names no place that adapters come from: {why}; write {FORMS}")
