"""Blends that are computed: in a process of their own, to the same bytes, and not when nobody wants them."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from lora_api.runtime_api import Part, RevisionSpec
from lora_api.v1alpha1.adapter import Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import ADAPTER_FILES, Refused
from lora_runtime.store.content import ContentStore
from lora_runtime.store.digest import digest_of
from support.edits import edit_config
from support.hub import Hub
from support.models import tiny_adapter
from unit.runtime.store.conftest import open_again
from unit.runtime.store.sources import from_volume, publish, put, versions

pytestmark = pytest.mark.slow

SECONDS = 60.0
OPTIONS: dict[BlendMethod, dict[str, Any]] = {
    BlendMethod.SVD: {"rank": 6},
    BlendMethod.TIES: {"rank": 6, "density": 0.5},
    BlendMethod.DARE: {"rank": 6, "density": 0.5, "seed": 3},
}


@pytest.fixture
def parts(volumes: Path, pirate: Path, base: Path, tmp_path: Path) -> tuple[Part, ...]:
    formal = tiny_adapter(tmp_path / "formal", base, seed=2, r=4, target_modules=["q_proj", "k_proj"])
    put(volumes, pirate)
    put(volumes, formal, "formal")
    return tuple(
        Part(source=from_volume(path), digest=digest_of(folder), weight=weight)
        for path, folder, weight in (("pirate", pirate, 0.7), ("formal", formal, -0.5))
    )


def a_spec(parts: tuple[Part, ...], method: BlendMethod, precision: Precision = Precision.AUTO) -> RevisionSpec:
    return RevisionSpec.of(parts, method, precision, **OPTIONS[method])


def children() -> set[int]:
    """Processes that this one has started and that have not ended."""
    return {
        int(pid) for thread in Path("/proc/self/task").iterdir() for pid in (thread / "children").read_text().split()
    }


async def until_blending(before: set[int]) -> None:
    deadline = time.monotonic() + SECONDS
    while not children() - before:
        assert time.monotonic() < deadline, "no process was started"
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("method", [BlendMethod.SVD, BlendMethod.DARE])
async def test_two_pods_make_the_same_bytes_and_tell_what_was_kept(
    hub: Hub, parts: tuple[Part, ...], tmp_path: Path, method: BlendMethod
) -> None:
    one = await publish(open_again(tmp_path, hub), a_spec(parts, method))
    (tmp_path / "store").rename(tmp_path / "other-pod")
    two = await publish(open_again(tmp_path, hub), a_spec(parts, method))

    first = tmp_path / "other-pod" / "versions" / one.folder.name
    assert [(first / name).read_bytes() for name in ADAPTER_FILES] == [
        (two.folder / name).read_bytes() for name in ADAPTER_FILES
    ]
    assert (two.rank, two.energy) == (6, one.energy)
    assert one.energy is not None
    assert 0.1 < one.energy < 1


async def test_a_blend_outlives_a_restart_with_what_it_kept(hub: Hub, parts: tuple[Part, ...], tmp_path: Path) -> None:
    made = await publish(open_again(tmp_path, hub), a_spec(parts, BlendMethod.SVD))
    before = children()
    assert await publish(open_again(tmp_path, hub), a_spec(parts, BlendMethod.SVD)) == made
    assert children() == before


async def test_a_blend_that_nobody_wants_any_more_is_not_computed_to_the_end(
    store: ContentStore, parts: tuple[Part, ...], tmp_path: Path
) -> None:
    before = children()
    unwanted = asyncio.create_task(publish(store, a_spec(parts, BlendMethod.TIES)))
    await until_blending(before)
    unwanted.cancel()
    await asyncio.wait({unwanted})
    wanted = await publish(store, a_spec(parts, BlendMethod.SVD))

    assert versions(tmp_path / "store") == [wanted.folder.name]
    assert list((tmp_path / "store" / "scratch").iterdir()) == []
    assert children() == before
    assert (await publish(store, a_spec(parts, BlendMethod.TIES))).rank == 6, "it may be wanted again"


async def test_blends_are_computed_one_after_the_other(store: ContentStore, parts: tuple[Part, ...]) -> None:
    before, most = children(), 0
    both = [
        asyncio.create_task(publish(store, a_spec(parts, method))) for method in (BlendMethod.SVD, BlendMethod.TIES)
    ]
    while not all(task.done() for task in both):
        most = max(most, len(children() - before))
        await asyncio.sleep(0.01)
    assert [task.result().rank for task in both] == [6, 6]
    assert most == 1, "the memory for one is all there is"


async def test_a_process_that_is_killed_is_a_reason_to_try_again_and_leaves_nothing(
    store: ContentStore, parts: tuple[Part, ...], tmp_path: Path
) -> None:
    before = children()
    task = asyncio.create_task(publish(store, a_spec(parts, BlendMethod.TIES)))
    await until_blending(before)
    for pid in children() - before:
        os.kill(pid, 9)
    with pytest.raises(
        Refused, match=r"ended with signal 9; if the pod has no memory left, raise spec.resources"
    ) as caught:
        await task

    assert (caught.value.refusal.reason, caught.value.refusal.retryable) == (Reason.LOAD_FAILED, True)
    assert list((tmp_path / "store" / "scratch").iterdir()) == []
    assert versions(tmp_path / "store") == []


async def test_a_refusal_comes_back_in_the_words_of_the_process(
    store: ContentStore, volumes: Path, pirate: Path
) -> None:
    put(volumes, edit_config(pirate, lora_alpha=1e7))
    part = Part(source=from_volume(), digest=digest_of(pirate), weight=10)
    with pytest.raises(Refused, match=r"which precision Float16 cannot hold; set spec.precision") as caught:
        await publish(store, a_spec((part,), BlendMethod.SVD, Precision.FLOAT16))
    assert not caught.value.refusal.retryable


async def test_the_event_loop_goes_on_meanwhile(store: ContentStore, parts: tuple[Part, ...]) -> None:
    longest, last = 0.0, time.monotonic()
    task = asyncio.create_task(publish(store, a_spec(parts, BlendMethod.TIES)))
    while not task.done():
        await asyncio.sleep(0.005)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    assert (await task).rank == 6
    assert longest < 0.5
