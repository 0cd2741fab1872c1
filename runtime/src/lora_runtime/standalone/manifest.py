"""The file of LoRAAdapter objects, as `kubectl apply -f` takes it and `kubectl get -o yaml` gives it. Pure."""

import json
from datetime import date
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lora_api import labels
from lora_api.local_api import DeclaredBy
from lora_api.v1alpha1.adapter import LoRAAdapter, LoRAAdapterSpec
from lora_api.v1alpha1.common import ObjectName
from lora_api.wrong_values import in_words
from lora_runtime.standalone import documents, rules
from lora_runtime.standalone.wish import Wish

_NAMED_AT_MOST = 5
_NAME: TypeAdapter[str] = TypeAdapter(ObjectName)
_LONGEST_SPEC = 1 << 16
"""As text, in which what an alias names is written out."""
_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
_METADATA = (
    "name", "namespace", "labels", "annotations", "uid", "resourceVersion", "generation", "generateName", "selfLink",
    "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "finalizers", "ownerReferences", "managedFields",
)  # fmt: skip


class Unreadable(ValueError):
    """The file cannot be worked on as it stands; the message says why, and where in it."""


def wishes(text: str) -> tuple[Wish, ...]:
    """The adapters that a file declares, in its order.

    Raises:
        Unreadable: some part of it is not as an API server would take it.
    """
    if not text.strip():
        # As a file is for a moment that somebody writes anew.
        raise Unreadable("it is empty; to declare nothing, leave a comment in it")
    try:
        objects = documents.objects(text)
    except documents.NotYaml as error:
        raise Unreadable(f"it is not YAML: {error}") from error
    problems: list[str] = []
    found: list[Wish] = []
    models: set[str] = set()
    for written in objects:
        where = f"line {written.line}"
        try:
            wish = _wish(written.value)
        except Unreadable as error:
            problems.append(f"{where}: {error}")
            continue
        if any(wish.name == other.name for other in found):
            problems.append(f"{where}: there is another LoRAAdapter {wish.name}")
        found.append(wish)
        models.add(wish.spec.model_ref.name)
    if len(models) > 1:
        problems.append(
            f"its objects are of the models {', '.join(sorted(models))}, and one is served here: keep those of one"
        )
    if problems:
        more = f"; and {len(problems) - _NAMED_AT_MOST} more" if len(problems) > _NAMED_AT_MOST else ""
        raise Unreadable("; ".join(problems[:_NAMED_AT_MOST]) + more)
    return tuple(found)


def spec_of(value: Any) -> LoRAAdapterSpec:
    """The wish in the field `spec` of a LoRAAdapter.

    Raises:
        Unreadable: an API server would not take it.
    """
    try:
        # A misspelt field would be served as if it were not there, and `weight: yes` as 1.
        spec = LoRAAdapterSpec.model_validate_json(_json(value), strict=True, extra="forbid", by_name=False)
    except ValidationError as error:
        raise Unreadable(f"spec.{in_words(error)}{_hint(error)}") from error
    if wrong := "; ".join(rules.problems(spec)):
        raise Unreadable(f"spec: {wrong}")
    return spec


def _hint(error: ValidationError) -> str:
    if any(found["loc"][-2:] == ("adapterRef", "name") for found in error.errors(include_input=False)):
        return (
            "; blends name objects, in small letters, digits, '-' and '.': what is served as owner/name has to be declared "
            "under such a name first, as in --adapter formal=owner/name"
        )
    return ""


def _json(value: Any) -> str:
    """As an API server is sent it."""
    found, length = [], 0
    try:
        for piece in json.JSONEncoder(allow_nan=False, default=_date).iterencode(value):
            found.append(piece)
            length += len(piece)
            if length > _LONGEST_SPEC:
                break
    except (TypeError, ValueError, RecursionError) as error:
        raise Unreadable(f"spec: {error}") from error
    if length > _LONGEST_SPEC:
        raise Unreadable(f"spec: it is longer than {_LONGEST_SPEC} characters")
    return "".join(found)


def _date(value: Any) -> str:
    """YAML's reader finds dates where kubectl's finds the names of branches."""
    if type(value) is not date:
        raise TypeError(f"{value} is neither text nor a number to JSON; put it in quotes")
    return value.isoformat()


def _wish(value: Any) -> Wish:
    kind = value.get("kind") if isinstance(value, dict) else None
    version = str(value.get("apiVersion")) if isinstance(value, dict) else ""
    if kind != LoRAAdapter.kind or version != labels.API_VERSION:
        raise Unreadable(
            f"it is no LoRAAdapter but {kind or 'something without a kind'} of {version or 'no apiVersion'}; each object "
            f"needs `apiVersion: {labels.API_VERSION}` and `kind: LoRAAdapter`"
        )
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    try:
        _NAME.validate_python(name)
    except ValidationError as error:
        raise Unreadable(in_words(error, "metadata.name")) from error
    unknown = [field for field in value if field not in _FIELDS]
    unknown += [f"metadata.{field}" for field in metadata or () if field not in _METADATA]
    if unknown:
        raise Unreadable(f"LoRAAdapter {name}: it has no field {', '.join(map(str, unknown))}")
    try:
        spec = spec_of(value.get("spec"))
    except Unreadable as error:
        raise Unreadable(f"LoRAAdapter {name}: {error}") from error
    refresh = annotations.get(labels.REFRESH) if isinstance(annotations, dict) else None
    return Wish(str(name), spec, None if refresh is None else str(refresh), DeclaredBy.FILE)
