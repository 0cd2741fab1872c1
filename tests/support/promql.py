"""As much of PromQL as it takes to say which series and labels a query names."""

import re
from collections.abc import Iterator

_STRING = re.compile(r'"[^"]*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"(?<![\w.])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(?!\s*\()(?![\w:])")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_RANGE = re.compile(r"\[[^\]]*\]")
_WORDS = frozenset(
    {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}
)


def _bare(query: str) -> str:
    """The query without what could be taken for the name of a series: strings, comments and ranges."""
    return _RANGE.sub("", _STRING.sub('""', re.sub(r"#.*", "", query)))


def selected(query: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Each series that the query names, and the labels that it selects by."""
    for name, matchers in _SELECTOR.findall(_GROUPING.sub(" ", _bare(query))):
        if name not in _WORDS:
            yield name, frozenset(_MATCHER.findall(matchers))


def grouped(query: str) -> frozenset[str]:
    """The labels that the query groups or joins by."""
    lists = _GROUPING.findall(_bare(query))
    return frozenset(label for labels in lists for label in re.split(r"[,\s]+", labels) if label)
