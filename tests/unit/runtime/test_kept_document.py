"""What of the documents that a pod is told outlives its process."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_api.runtime_api import Desired, DesiredAdapter, Part, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_runtime.kept_document import KeptDocument


def a_revision(weight: float) -> RevisionSpec:
    source = AdapterSource(volume=VolumeSource(name="shared", path="a"))
    part = Part(source=source, digest="sha256:" + "a" * 64, weight=weight)
    return RevisionSpec.of((part,), BlendMethod.CONCAT, Precision.AUTO)


OLD, NEW = a_revision(1.0), a_revision(0.5)
NOWHERE = Path("/nonexistent")


def a_document(sequence: int, serve: RevisionSpec, prepare: RevisionSpec | None = None) -> Desired:
    return Desired(sequence=sequence, adapters=(DesiredAdapter(name="a", uid="u", serve=serve, prepare=prepare),))


def always(document: Desired) -> Callable[[], Desired]:
    return lambda: document


@pytest.mark.parametrize("document", [a_document(8, NEW), Desired(sequence=8)], ids=["another revision", "no name"])
async def test_what_is_to_be_served_is_kept(tmp_path: Path, document: Desired) -> None:
    kept = KeptDocument(tmp_path)
    for one in (a_document(7, OLD), document):
        await kept.keep(always(one))
    assert KeptDocument(tmp_path).or_newer(NOWHERE) == document


async def test_what_is_only_to_be_prepared_is_not(tmp_path: Path) -> None:
    kept = KeptDocument(tmp_path)
    for one in (a_document(7, OLD), a_document(8, OLD, prepare=NEW)):
        await kept.keep(always(one))
    assert KeptDocument(tmp_path).or_newer(NOWHERE) == a_document(7, OLD)


async def test_of_a_burst_the_newest_is_kept_while_it_goes_on(tmp_path: Path) -> None:
    kept, told = KeptDocument(tmp_path), [a_document(1, OLD)]
    deadline = time.monotonic() + 5
    keeping = set()
    while (found := KeptDocument(tmp_path).or_newer(NOWHERE)) is None:
        assert time.monotonic() < deadline
        told.append(a_document(len(told) + 1, NEW))
        keeping.add(asyncio.create_task(kept.keep(lambda: told[-1])))
        await asyncio.sleep(0.01)
    assert found.sequence > 2
    await asyncio.wait(keeping)
