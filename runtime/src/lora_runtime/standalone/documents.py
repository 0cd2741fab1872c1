"""YAML as an API server's clients read it: no key twice, and every object with the line that it begins on. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

_MERGE = "tag:yaml.org,2002:merge"
_LISTS = ("List", "LoRAAdapterList")


class NotYaml(ValueError):
    """It cannot be read; the message says where."""


@dataclass(frozen=True, slots=True)
class Written:
    """An object of a file."""

    line: int
    value: Any


def objects(text: str) -> list[Written]:
    """All of a file, those in lists among them.

    Raises:
        NotYaml: it is none, or says something twice.
    """
    loader = _Loader(text)
    try:
        return list(_objects(loader))
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        # The reader of YAML lets what its scalars are made of fail in its own way: dates, numbers, endless nesting.
        raise NotYaml(" ".join(str(error).split())) from error
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """Of a key that is there twice, YAML's own reader takes the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Here, and not where it is constructed: by then, what is merged into it stands among its own.
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            if key.value in seen:
                raise yaml.composer.ComposerError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add(key.value)
        return node


def _objects(loader: _Loader) -> Iterator[Written]:
    while loader.check_node():
        if (node := loader.get_node()) is None or (value := loader.construct_document(node)) is None:
            continue
        items = _items(node, value)
        if items is None:
            yield Written(node.start_mark.line + 1, value)
        else:
            for line, item in zip(items, value["items"], strict=True):
                yield Written(line, item)


def _items(node: yaml.Node, value: Any) -> list[int] | None:
    """The lines of what is in a list of objects; None for what is no list."""
    if not isinstance(value, dict) or value.get("kind") not in _LISTS or not isinstance(value.get("items"), list):
        return None
    assert isinstance(node, yaml.MappingNode)  # noqa: S101  (it was read as one)
    listed = next(found for key, found in node.value if key.value == "items")
    return [item.start_mark.line + 1 for item in listed.value]
