"""Where files are, as a person types it: `hf://owner/name@revision`, `s3://…`, a path. Pure."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lora_api import places
from lora_api.local_api import DISK
from lora_api.v1alpha1.adapter import AdapterSource, LoRAAdapterSpec
from lora_api.v1alpha1.common import ModelSource, ServedName
from lora_api.wrong_values import in_words
from lora_runtime.standalone import rules
from lora_runtime.standalone.wish import Wish

NO_MODEL = "local"
"""What adapters of a command line refer to; there is just one base model."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_SERVED_NAME: TypeAdapter[str] = TypeAdapter(ServedName)

IsHere = Callable[[Path], bool]


class Unclear(ValueError):
    """What was typed names nothing; the message says what could."""


def adapter(text: str, is_here: IsHere = Path.exists) -> Wish:
    """The adapter that `[NAME=]PLACE[@WEIGHT]` names.

    Args:
        text: what was typed. A number behind the last `@` is a weight.
        is_here: what is on the disk.

    Raises:
        Unclear: it cannot be understood.
    """
    name, named, rest = text.strip().partition("=")
    if not named or not _is_served_name(name):
        name, rest = "", text.strip()
    place, weight = _weighed(rest)
    found = _place(place, is_here)
    name = name or _name_of(found)
    if not _is_served_name(name):
        raise Unclear(f"{text!r} needs a name in front, of letters, digits and . _ / -, as in pirate={place}")
    wish: dict[str, Any] = {"modelRef": {"name": NO_MODEL}, "servedName": name, "source": found, "weight": weight}
    try:
        spec = LoRAAdapterSpec.model_validate(wish)
    except ValidationError as error:
        raise Unclear(f"{text!r}: {in_words(error)}") from error
    for problem in rules.problems(spec):
        raise Unclear(f"{text!r}: {problem}")
    return Wish(name, spec)


def model(text: str, is_here: IsHere = Path.exists) -> ModelSource:
    """The base model that a path, `hf://owner/name[@revision]` or `owner/name` names.

    Raises:
        Unclear: it cannot be understood, or is a place that base models do not come from.
    """
    found = _place(text, is_here)
    if not found.keys() <= {"huggingFace", "volume"}:
        raise Unclear(f"{text!r}: a base model comes from a folder or from the hub, as in hf://owner/name")
    try:
        return ModelSource.model_validate(found)
    except ValidationError as error:
        raise Unclear(f"{text!r}: {in_words(error)}") from error


def _weighed(text: str) -> tuple[str, float]:
    place, at, number = text.rpartition("@")
    return (place, float(number)) if at and place and _NUMBER.fullmatch(number) else (text, 1.0)


def _place(text: str, is_here: IsHere) -> dict[str, Any]:
    if places.SEPARATOR in text:
        try:
            found = places.place(text)
            if "volume" in found:
                raise places.Unclear("volumes are for pods; name a folder of this machine by its path")
            return found
        except places.Unclear as error:
            raise Unclear(f"{text!r}: {error}; write {places.FORMS}, or a path") from error
    path = Path(text).expanduser()
    if text.startswith(("/", ".", "~")) or (text and is_here(path)):
        inside = str(path.absolute().resolve()).lstrip("/") or "."
        return {"volume": {"name": DISK, "path": inside}}
    repo, _, _ = text.partition("@")
    if _REPO.fullmatch(repo):
        return places.hub(text)
    raise Unclear(f"{text!r} is no folder here, and no repository of the hub has such a name; write hf://owner/name, "
                  "s3://bucket/folder, oci://registry/repository:tag, https://server/folder or a path")  # fmt: skip


def _name_of(place: Mapping[str, Any]) -> str:
    """The name that a place without one gives: a repository's own, or that of its last folder."""
    if "huggingFace" in place:
        return str(place["huggingFace"]["repo"])
    source = AdapterSource.model_validate(place)
    last = source.describe().rstrip("/").rpartition("/")[2]
    return last.partition("@")[0].partition(":")[0]


def _is_served_name(name: str) -> bool:
    try:
        _SERVED_NAME.validate_python(name)
    except ValidationError:
        return False
    return True
