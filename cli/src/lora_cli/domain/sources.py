"""Where files come from, in one word: as `lora_api.places` reads it, or `volume/path`."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lora_api import places
from lora_api.error_codes import ErrorCode
from lora_api.local_api import DISK
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import VolumeSource
from lora_api.wrong_values import in_words
from lora_cli.errors import Failed

FORMS = f"{places.FORMS}, or VOLUME/folder"


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
        raise _unclear(text, in_words(error)) from error


def on_disk(path: Path) -> AdapterSource:
    """A folder or file of the machine that a server without a cluster runs on."""
    return AdapterSource(volume=VolumeSource(name=DISK, path=path.as_posix().strip("/") or "."))


def _fields(text: str) -> dict[str, Any]:
    if places.SEPARATOR not in text:
        return places.volume(text)
    try:
        return places.place(text)
    except places.Unclear as error:
        raise _unclear(text, str(error)) from error


def _unclear(text: str, why: str) -> Failed:
    return Failed(ErrorCode.INVALID, f"{text!r} names no place that adapters come from: {why}; write {FORMS}")
