"""Where files come from, in one word: `hf://team/pirate@v3`, `s3://bucket/folder`, `oci://host/repo:tag`, a path, `VOLUME/folder`.

One rule for all that people type: what has a scheme is what that says; what exists here, or begins as only paths do, is a
path; anything else is a folder of a volume.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

SEPARATOR = "://"
FORMS = (
    "hf://owner/repo[/folder][@revision], s3://bucket/folder[?endpoint=URL&region=R], gs://bucket/folder, "
    "https://host/folder[#sha256=HEX], oci://registry/repo:tag (oci+http:// without TLS)"
)


IsHere = Callable[[Path], bool]
"""What is on the disk of who types it."""
_PATHS = ("/", "./", "../", "~")


class Unclear(ValueError):
    """What was typed names no place; the message says why not."""


def is_path(text: str, is_here: IsHere = Path.exists) -> bool:
    """Whether a place is a path on the disk of who types it, by the rule above."""
    if SEPARATOR in text:
        return False
    return text in (".", "..") or text.startswith(_PATHS) or (bool(text) and is_here(Path(text)))


def not_mounted(text: str, mounted: Collection[str]) -> str:
    """What to say of a place that is no path, and in no volume that there is."""
    if not mounted:
        return f"nothing is at {text}, and there are no volumes"
    name = text.partition("/")[0]
    return f"nothing is at {text}, and no volume is called {name}, but {', '.join(sorted(mounted))}"


def place(text: str) -> dict[str, Any]:
    """The fields of an AdapterSource, as they are written in YAML.

    Args:
        text: in one of FORMS, or `volume://NAME/folder`.

    Raises:
        Unclear: it has another scheme, or says something that its scheme does not know.
    """
    scheme, _, rest = text.partition(SEPARATOR)
    match scheme.lower():
        case "hf":
            return hub(rest)
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
            return volume(rest)
        case _:
            raise Unclear(f"there is no kind of source {scheme}://")


def hub(rest: str) -> dict[str, Any]:
    """A repository of the hub: `owner/repo[/folder][@revision]`."""
    path, _, revision = rest.partition("@")
    parts = [part for part in path.split("/") if part]
    found: dict[str, Any] = {"repo": "/".join(parts[:2])}
    if parts[2:]:
        found["subfolder"] = "/".join(parts[2:])
    if revision:
        found["revision"] = revision
    return {"huggingFace": found}


def volume(rest: str) -> dict[str, Any]:
    """A folder of a volume: `NAME/folder`."""
    name, _, path = rest.partition("/")
    return {"volume": {"name": name, "path": path.strip("/") or "."}}


def _bucket(text: str, known: set[str]) -> dict[str, Any]:
    url = urlsplit(text)
    options = dict(parse_qsl(url.query))
    if unknown := options.keys() - known:
        raise Unclear(f"{', '.join(sorted(unknown))} is none of the options {', '.join(sorted(known))}")
    return {"bucket": url.netloc, "prefix": unquote(url.path).strip("/"), **options}


def _web(text: str) -> dict[str, Any]:
    url, _, fragment = text.partition("#")
    if not fragment:
        return {"url": url}
    name, _, value = fragment.partition("=")
    if name != "sha256":
        raise Unclear("after '#' only sha256=HEX may stand")
    return {"url": url, "sha256": value}
