"""Strategic merge of a patch into a pod template: the rules that `kubectl patch` follows, for the lists that pods have.

Objects are merged field by field, `null` deletes a field, and lists are replaced whole, except those of `_LISTS`, whose
items are matched by a key. An item may say `$patch: delete` (drop the match) or `$patch: replace` (do not merge it).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_LISTS: Mapping[str, tuple[str, bool]] = {
    "containers": ("name", True),
    "initContainers": ("name", True),
    "env": ("name", False),
    "volumes": ("name", False),
    "volumeMounts": ("mountPath", True),
    "volumeDevices": ("devicePath", True),
    "ports": ("containerPort", True),
    "imagePullSecrets": ("name", True),
    "hostAliases": ("ip", True),
    "topologySpreadConstraints": ("topologyKey", True),
}
"""Field name to (merge key, whether a matching item is merged).

Volumes and environment variables are replaced, not merged: each is a union, and a merge would leave two members set.
"""


class MergeError(ValueError):
    """The patch does not have the shape of a pod template; the message names the path."""


def merge(base: Mapping[str, Any], patch: Mapping[str, Any], path: str = "podTemplate") -> dict[str, Any]:
    """A new object: `base` with `patch` applied.

    Raises:
        MergeError: a value has another type than the one it would replace, or an item lacks its key.
    """
    merged = dict(base)
    for field, value in patch.items():
        where = f"{path}.{field}"
        if field.startswith("$"):
            raise MergeError(f"{where}: this directive is not supported here")
        if value is None:
            merged.pop(field, None)
        elif field in _LISTS:
            merged[field] = _merge_items(field, merged.get(field, ()), value, where)
        elif isinstance(merged.get(field), Mapping):
            if not isinstance(value, Mapping):
                raise MergeError(f"{where}: must be an object, got {type(value).__name__}")
            merged[field] = merge(merged[field], value, where)
        else:
            # A new object has nothing to merge with, but its nulls and directives still mean something.
            merged[field] = merge({}, value, where) if isinstance(value, Mapping) else value
    return merged


def _merge_items(field: str, base: Sequence[Any], patch: Any, path: str) -> list[Any]:
    key, deep = _LISTS[field]
    if not isinstance(patch, list):
        raise MergeError(f"{path}: must be a list, got {type(patch).__name__}")
    items = {item[key]: item for item in base}
    for index, item in enumerate(patch):
        where = f"{path}[{index}]"
        if not isinstance(item, Mapping) or key not in item:
            raise MergeError(f"{where}: must be an object with the field {key!r}, by which items are matched")
        fields = {name: value for name, value in item.items() if name != "$patch"}
        match item.get("$patch"):
            case "delete":
                items.pop(item[key], None)
            case "replace":
                items[item[key]] = merge({}, fields, where)
            case None:
                items[item[key]] = merge(items.get(item[key], {}) if deep else {}, fields, where)
            case other:
                raise MergeError(f"{where}.$patch: must be 'delete' or 'replace', got {other!r}")
    return list(items.values())


def is_deeper(value: Any, levels: int) -> bool:
    """Whether something lies deeper in the value; found without going in any deeper."""
    layer = [value]
    for _ in range(levels):
        layer = [inner for outer in layer for inner in _inside(outer)]
        if not layer:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()
