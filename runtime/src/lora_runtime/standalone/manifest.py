"""The file of LoRAAdapter objects, as `kubectl apply -f` takes it and `kubectl get -o yaml` gives it. Pure."""

from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from lora_api import labels
from lora_api.local_api import DeclaredBy
from lora_api.v1alpha1.adapter import LoRAAdapter, LoRAAdapterSpec
from lora_api.v1alpha1.common import ObjectName
from lora_api.wrong_values import in_words
from lora_runtime.standalone import rules
from lora_runtime.standalone.wish import Wish

_NAMED_AT_MOST = 5
_NAME: TypeAdapter[str] = TypeAdapter(ObjectName)


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
        documents = list(yaml.safe_load_all(text))
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        # The reader of YAML lets what its scalars are made of fail in its own way: dates, numbers, endless nesting.
        raise Unreadable(f"it is not YAML: {' '.join(str(error).split())}") from error
    objects = [value for document in documents for value in _objects(document)]
    problems: list[str] = []
    found: list[Wish] = []
    models: set[str] = set()
    for number, value in enumerate(objects, 1):
        try:
            wish = _wish(value)
        except Unreadable as error:
            problems.append(f"object {number}: {error}")
            continue
        if any(wish.name == other.name for other in found):
            problems.append(f"object {number}: there is another LoRAAdapter {wish.name}")
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
        # A misspelt field would be served as if it were not there.
        spec = LoRAAdapterSpec.model_validate(value, extra="forbid")
    except ValidationError as error:
        raise Unreadable(f"spec.{in_words(error)}") from error
    if wrong := "; ".join(rules.problems(spec)):
        raise Unreadable(f"spec: {wrong}")
    return spec


def _objects(document: Any) -> Iterator[Any]:
    """The objects of one YAML document: itself, or the items of a List; none of an empty one."""
    if document is None:
        return
    items = document.get("items") if isinstance(document, dict) and str(document.get("kind")).endswith("List") else None
    yield from items if isinstance(items, list) else (document,)


def _wish(value: Any) -> Wish:
    kind = value.get("kind") if isinstance(value, dict) else None
    version = str(value.get("apiVersion")) if isinstance(value, dict) else ""
    if kind != LoRAAdapter.kind or version.partition("/")[0] != labels.GROUP:
        raise Unreadable(
            f"it is no LoRAAdapter but {kind or 'something without a kind'} of {version or 'no apiVersion'}; each object "
            f"needs `apiVersion: {labels.GROUP}/v1alpha1` and `kind: LoRAAdapter`"
        )
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    try:
        _NAME.validate_python(name)
    except ValidationError as error:
        raise Unreadable(in_words(error, "metadata.name")) from error
    try:
        spec = spec_of(value.get("spec"))
    except Unreadable as error:
        raise Unreadable(f"LoRAAdapter {name}: {error}") from error
    refresh = annotations.get(labels.REFRESH) if isinstance(annotations, dict) else None
    return Wish(str(name), spec, None if refresh is None else str(refresh), DeclaredBy.FILE)
