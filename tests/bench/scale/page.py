"""The Markdown page and the JSON of the scale benchmark. Pure."""

from collections.abc import Mapping
from typing import Any

from bench.report.documents import table
from bench.scale.run import Run


def page(done: Run, key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float) -> str:
    """What a reader needs to know, and to make it again."""
    return "# Scale\n\n" + table(tuple(key), [tuple(str(v) for v in key.values())])


def document(done: Run, key: Mapping[str, Any], machine: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The same for programs."""
    return {"key": dict(key)}
