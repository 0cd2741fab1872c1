"""What of the documents that a pod is told outlives its process."""

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


@pytest.mark.parametrize("document", [a_document(8, NEW), Desired(sequence=8)], ids=["another revision", "no name"])
async def test_what_is_to_be_served_is_kept(tmp_path: Path, document: Desired) -> None:
    kept = KeptDocument(tmp_path)
    for one in (a_document(7, OLD), document):
        await kept.keep(one, lambda: True)
    assert KeptDocument(tmp_path).or_newer(NOWHERE) == document


async def test_what_is_only_to_be_prepared_is_not(tmp_path: Path) -> None:
    kept = KeptDocument(tmp_path)
    for one in (a_document(7, OLD), a_document(8, OLD, prepare=NEW)):
        await kept.keep(one, lambda: True)
    assert KeptDocument(tmp_path).or_newer(NOWHERE) == a_document(7, OLD)


async def test_what_was_overtaken_before_its_turn_is_not(tmp_path: Path) -> None:
    await KeptDocument(tmp_path).keep(a_document(7, OLD), lambda: False)
    assert KeptDocument(tmp_path).or_newer(NOWHERE) is None
