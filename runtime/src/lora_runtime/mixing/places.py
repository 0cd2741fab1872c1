"""Where the parts of a trained mixture are, and one digest for all of them. Pure."""

import hashlib
from collections.abc import Iterable
from typing import Any

from lora_api.v1alpha1.adapter import AdapterSource

_PINS: dict[str, Any] = {"etags": None, "sha256": None}
"""What a source says of the files in one folder, and is not true of another."""
_FOLDERS = {"hugging_face": "subfolder", "volume": "path", "s3": "prefix", "gcs": "prefix", "http": "url"}
"""By kind of place, the field that names a folder."""


def folder_in(source: AdapterSource, name: str) -> AdapterSource | None:
    """The folder of that name inside of the one that a source names; None in a kind of place that has no folders."""
    for kind, field in _FOLDERS.items():
        place = getattr(source, kind)
        if place is None:
            continue
        outer = (getattr(place, field) or "").rstrip("/")
        inner = name if outer in ("", ".") else f"{outer}/{name}"
        unpinned = {pin: value for pin, value in _PINS.items() if pin in type(place).model_fields}
        return source.model_copy(update={kind: place.model_copy(update={field: inner, **unpinned})})
    return None


def digest_over(digests: Iterable[str]) -> str:
    """One digest for several folders, in order."""
    return "sha256:" + hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()
