"""The whole corpus at a running engine: nothing of it gets there, and nobody else notices."""

from pathlib import Path

import httpx
import pytest

from corpus.every import CORPUS, path_of, write
from engine.conftest import World
from engine.test_process import engine_of
from lora_api.runtime_api import DesiredAdapter, Inventory, Part, ResolveState, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_runtime.adapters.layout import files_in
from lora_runtime.store.digest import digest_of
from support.models import tiny_adapter

READ_AT_MOST = 64 << 20
NOBODYS_DIGEST = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def hostile(world: World) -> World:
    """The world with the corpus in its volume, and two adapters in service."""
    write(world.volumes / "adapters", world.base)
    tiny_adapter(world.adapter("hostile-neighbour"), world.base, seed=21)
    return world


def test_the_corpus_is_refused_and_the_engine_and_its_other_adapters_do_not_notice(hostile: World) -> None:
    served = {"x": hostile.spec(("a", 1.0)), "y": hostile.spec(("hostile-neighbour", 0.7))}
    hostile.serve(**served)
    engine, before = engine_of(hostile.runtime), answers(hostile)

    for case in CORPUS:
        response = hostile.ask(source(path_of(case)))
        assert response.state is ResolveState.REFUSED, case.name
        assert response.refusal is not None
        assert response.refusal.reason is case.reason, (case.name, response.refusal.message)

    # Nor by a document that nobody resolved anything for, such as one written by hand.
    entries = [DesiredAdapter(name=name, uid=name, serve=spec) for name, spec in served.items()]
    by_hand = [
        DesiredAdapter(name=f"bad/{case.name}", uid="h", serve=recipe(hostile, path_of(case))) for case in CORPUS
    ]
    hostile.declare(*entries, *by_hand)
    refused: set[str] = set()

    def all_were_refused(found: Inventory) -> bool:
        refused.update(a.name for a in found.adapters for r in a.revisions if r.state == "Failed")
        assert not [a.name for a in found.adapters if a.serving is not None and a.name not in served]
        return refused == {entry.name for entry in by_hand}

    hostile.until(all_were_refused, seconds=120)
    assert answers(hostile) == before
    listed = httpx.get(f"{hostile.runtime.url}/v1/models", timeout=10).json()["data"]
    assert {card["id"] for card in listed} == {"base", "x", "y"}
    assert hostile.complete(by_hand[0].name).status_code == 503
    assert engine_of(hostile.runtime) == engine

    hostile.serve(**served)
    assert answers(hostile) == before


def source(path: str) -> AdapterSource:
    return AdapterSource(volume=VolumeSource(name="adapters", path=path))


def recipe(world: World, path: str) -> RevisionSpec:
    part = Part(source=source(path), digest=digest(world.volumes / "adapters", path), weight=1.0)
    return RevisionSpec.of((part,), BlendMethod.CONCAT, Precision.AUTO)


def digest(volume: Path, path: str) -> str:
    """The true one where the volume has files of a size to read, so that only their content can be refused.

    Sound files that a link leads to have the digest of what is already in the pod, which needs no source.
    """
    folder = (volume / path).resolve()
    files = [folder / name for name in files_in(folder)]
    if folder.is_relative_to(volume) and all(
        file.is_file() and not file.is_symlink() and file.stat().st_size < READ_AT_MOST for file in files
    ):
        return digest_of(folder)
    return NOBODYS_DIGEST


def answers(world: World) -> list[str]:
    """All that clients of the others get to see, with log-probabilities, to the byte."""
    return [str(world.complete(name, logprobs=5).json()["choices"]) for name in ("base", "x", "y")]
