"""Where files are, as a person types it for this machine: by the rule of `lora_api.places`, or `owner/name` on the hub. Pure."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lora_api import places
from lora_api.local_api import DISK
from lora_api.places import IsHere
from lora_api.v1alpha1.adapter import AdapterSource, LoRAAdapterSpec
from lora_api.v1alpha1.common import ModelSource, ServedName
from lora_api.wrong_values import in_words
from lora_runtime.standalone import rules
from lora_runtime.standalone.wish import Wish

NO_MODEL = "local"
"""What adapters of a command line refer to; there is just one base model."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REPO = re.compile(f"{_PART}/{_PART}(@.+)?")
"""What TGI and vLLM take for a repository of the hub, and people bring along."""
_OLD_REPO = re.compile(f"{_PART}(/{_PART})?(@.+)?")
"""Base models of the hub's first years have no owner."""
_SERVED_NAME: TypeAdapter[str] = TypeAdapter(ServedName)


class Unclear(ValueError):
    """What was typed names nothing; the message says what could."""


def adapter(text: str, is_here: IsHere = Path.exists, volumes: Collection[str] = ()) -> Wish:
    """The adapter that `[NAME=]PLACE[@WEIGHT]` names.

    Args:
        text: what was typed. A number behind the last `@` is a weight.
        is_here: what is on the disk.
        volumes: the names of those that there are beside the disk.

    Raises:
        Unclear: it cannot be understood.
    """
    name, named, rest = text.strip().partition("=")
    if not named or not _is_served_name(name):
        name, rest = "", text.strip()
    place, weight = _weighed(rest)
    found = _place(place, is_here, _REPO, volumes)
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
    found = _place(text, is_here, _OLD_REPO, ())
    if not found.keys() <= {"huggingFace", "volume"}:
        raise Unclear(f"{text!r}: a base model comes from a folder or from the hub, as in hf://owner/name")
    try:
        return ModelSource.model_validate(found)
    except ValidationError as error:
        raise Unclear(f"{text!r}: {in_words(error)}") from error


def _weighed(text: str) -> tuple[str, float]:
    place, at, number = text.rpartition("@")
    return (place, float(number)) if at and place and _NUMBER.fullmatch(number) else (text, 1.0)


def _place(text: str, is_here: IsHere, repository: re.Pattern[str], volumes: Collection[str]) -> dict[str, Any]:
    if not text:
        raise Unclear("a place is missing, as in NAME=./folder or NAME=hf://owner/name")
    if places.SEPARATOR in text:
        try:
            found = places.place(text)
        except places.Unclear as error:
            raise Unclear(f"{text!r}: {error}; write {places.FORMS}, or a path") from error
        if "volume" not in found or found["volume"]["name"] in (DISK, *volumes):
            return found
        raise Unclear(
            f"{text!r}: {places.not_mounted(text.partition(places.SEPARATOR)[2], volumes)}; name a folder by its path"
        )
    if places.is_path(text, lambda path: is_here(path.expanduser())):
        return {"volume": {"name": DISK, "path": str(Path(text).expanduser().absolute().resolve()).lstrip("/") or "."}}
    if text.partition("/")[0] in volumes:
        return places.volume(text)
    if repository.fullmatch(text):
        return places.hub(text)
    raise Unclear(f"{text!r}: {places.not_mounted(text, volumes)}; write ./{text} for a path, hf://owner/name, "
                  "s3://bucket/folder, oci://registry/repository:tag or https://server/folder")  # fmt: skip


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
