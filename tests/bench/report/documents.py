"""Writes the results of a benchmark: JSON for programs, a Markdown page for people."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "benchmarks"


def write(folder: Path, name: str, results: Mapping[str, Any], page: str) -> None:
    """Writes `<name>.json` and `<name>.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(page.rstrip() + "\n", encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def machine_lines(found: Mapping[str, Any]) -> str:
    """The machine in one sentence."""
    return (
        f"{found['cores']} cores of {found['cpu']}, {found['memory_gib']} GiB of memory, Linux {found['kernel']}, "
        f"Python {found['python']}, vLLM {found['vllm']}, torch {found['torch']}."
    )


def rounded(value: float, digits: int = 3) -> float | None:
    """For JSON, which has no NaN."""
    return None if math.isnan(value) else round(value, digits)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
