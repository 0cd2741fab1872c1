"""Objects that the documentation shows are objects that a real API server takes."""

import re
from pathlib import Path

import pytest

from local_cluster import Cluster

pytestmark = pytest.mark.apiserver

ROOT = Path(__file__).resolve().parents[2]


def shown() -> dict[str, str]:
    """Each whole LoRAModel or LoRAAdapter of a page, by page and place."""
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    found: dict[str, str] = {}
    for page in sorted(pages):
        blocks = re.findall(r"```yaml\n(apiVersion: lora-operator\.io.*?)```", page.read_text(), re.DOTALL)
        found |= {f"{page.relative_to(ROOT)} {number}": block for number, block in enumerate(blocks)}
    return found


def test_every_object_in_the_documentation_is_accepted(api_server: Cluster, namespace: str) -> None:
    objects = shown()
    assert len(objects) > 10
    for text in objects.values():
        api_server.kubectl(
            *("apply", "--namespace", namespace, "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"),
            stdin=text,
        )
