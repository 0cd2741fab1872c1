"""The clusters' records on this machine: one JSON file each, the truth about which exist."""

from __future__ import annotations

import os
from pathlib import Path

import pydantic

from local_cluster.layout import Record

_FILE = "cluster.json"


def read(runtime_root: Path, name: str) -> Record | None:
    """The record of one cluster; None if there is none or a killed run left it half-written."""
    try:
        return Record.model_validate_json((runtime_root / name / _FILE).read_text())
    except (FileNotFoundError, pydantic.ValidationError):
        return None


def read_all(runtime_root: Path) -> list[Record]:
    """Every cluster of this machine, by name."""
    names = sorted(path.parent.name for path in runtime_root.glob(f"*/{_FILE}"))
    return [record for name in names if (record := read(runtime_root, name)) is not None]


def write(runtime_root: Path, record: Record) -> None:
    """Writes the record; readers see the old one or the new one."""
    path = runtime_root / record.name / _FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(".new")
    staged.write_text(record.model_dump_json(indent=2))
    os.replace(staged, path)
