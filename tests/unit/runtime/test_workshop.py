import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pytest

from lora_api.runtime_api import Part, ResolveRequest, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.__main__ import _with_ours
from lora_runtime.adapters.base import load_base
from lora_runtime.adapters.errors import Refused
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.store.content import open_store
from lora_runtime.store.versions import Published
from lora_runtime.workshop import Progress, Workshop
from support.edits import edit_config, edit_tensors
from support.models import tiny_adapter, tiny_base


async def test_a_revision_given_up_before_the_base_is_known_spoils_nothing_for_the_next(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    tiny_adapter(tmp_path / "volumes" / "shared" / "a", base, seed=1)
    store = open_store(tmp_path / "store", volumes_root=tmp_path / "volumes", credentials_root=tmp_path / "none")
    source = AdapterSource(volume=VolumeSource(name="shared", path="a"))
    digest = (await store.resolve(source)).digest
    spec = RevisionSpec.of((Part(source=source, digest=digest, weight=0.5),), BlendMethod.CONCAT, Precision.AUTO)
    workshop = Workshop(store, max_rank=8)

    given_up = asyncio.create_task(workshop.make(spec, Progress()))
    done, _ = await asyncio.wait({given_up}, timeout=1)
    assert not done, "it waits for the base model's shapes"
    given_up.cancel()
    await asyncio.wait({given_up})

    workshop.set_base(load_base(base))
    await workshop.learn_engine(FakeEngine())
    assert (await workshop.make(spec, Progress())).rank == 8


@pytest.mark.parametrize(("rendered", "let_in"), [
    ("", "lora_runtime,lora_runtime_cpu_kernels"),
    ("hpu,hpu_custom_ops", "hpu,hpu_custom_ops,lora_runtime,lora_runtime_cpu_kernels"),
])  # fmt: skip
def test_the_platform_s_plugins_that_the_operator_names_are_let_in_beside_ours(rendered: str, let_in: str) -> None:
    assert _with_ours(rendered) == let_in


class EngineOf(FakeEngine):
    """An engine that applies adapters to modules with these last names only, or does not tell."""

    def __init__(self, *last_names: str, tells: bool = True, rounds_to: Precision = Precision.FLOAT32) -> None:
        super().__init__()
        self._last_names, self._tells, self._rounds_to = last_names, tells, rounds_to

    @property
    def precision(self) -> Precision:
        return self._rounds_to

    async def adapted(self, modules: Collection[str]) -> Collection[str]:
        if not self._tells:
            raise AttributeError("lora_manager")
        return {name for name in modules if name.rpartition(".")[2] in self._last_names}


class BusyEngine(EngineOf):
    """Has no time for the first questions."""

    def __init__(self, *last_names: str, too_early: int) -> None:
        super().__init__(*last_names)
        self.too_early = too_early

    async def adapted(self, modules: Collection[str]) -> Collection[str]:
        self.too_early -= 1
        if self.too_early >= 0:
            raise TimeoutError("RPC call timed out")
        return await super().adapted(modules)


@dataclass
class Place:
    """A base model, an adapter, and a workshop that knows the first."""

    adapter: Path
    source: AdapterSource
    workshop: Workshop

    async def make(self) -> Published:
        facts = await self.workshop.resolve(ResolveRequest(source=self.source), Progress())
        part = Part(source=facts.source, digest=facts.digest, weight=0.5)
        return await self.workshop.make(RevisionSpec.of((part,), BlendMethod.CONCAT, Precision.AUTO), Progress())


@pytest.fixture
async def place(tmp_path: Path) -> Place:
    base = tiny_base(tmp_path / "base")
    adapter = tiny_adapter(tmp_path / "volumes" / "shared" / "a", base, seed=1)
    store = open_store(tmp_path / "store", volumes_root=tmp_path / "volumes", credentials_root=tmp_path / "none")
    workshop = Workshop(store, max_rank=8)
    workshop.set_base(load_base(base))
    return Place(adapter, AdapterSource(volume=VolumeSource(name="shared", path="a")), workshop)


async def test_modules_that_the_engine_leaves_out_are_named_as_soon_as_the_engine_is_there(place: Place) -> None:
    await place.workshop.learn_engine(EngineOf("q_proj"))
    with pytest.raises(Refused) as caught:
        await place.workshop.resolve(ResolveRequest(source=place.source), Progress())
    assert caught.value.refusal.reason is Reason.UNSUPPORTED_FEATURE
    assert (
        "the engine applies no adapter to 2 of its 4 modules: model.layers.0.self_attn.v_proj, "
        "model.layers.1.self_attn.v_proj; train it without them, or take --lora-target-modules out of"
    ) in caught.value.refusal.message


async def test_what_was_resolved_before_the_engine_was_there_is_held_against_it_before_it_is_loaded(
    place: Place,
) -> None:
    making = asyncio.create_task(place.make())
    done, _ = await asyncio.wait({making}, timeout=1)
    assert not done, "it waits for the engine"
    await place.workshop.learn_engine(EngineOf("k_proj"))
    with pytest.raises(Refused, match="no adapter to 4 of its 4 modules"):
        await making


async def test_the_wait_for_the_base_model_and_the_engine_is_told_apart_from_the_work(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    tiny_adapter(tmp_path / "volumes" / "shared" / "a", base, seed=1)
    store = open_store(tmp_path / "store", volumes_root=tmp_path / "volumes", credentials_root=tmp_path / "none")
    source = AdapterSource(volume=VolumeSource(name="shared", path="a"))
    part = Part(source=source, digest=(await store.resolve(source)).digest, weight=0.5)
    asked, looks = asyncio.Event(), iter((0.0, 200.0, 200.0, 207.0))

    def clock() -> float:
        asked.set()
        return next(looks)

    workshop, progress = Workshop(store, max_rank=8, clock=clock), Progress()
    spec = RevisionSpec.of((part,), BlendMethod.CONCAT, Precision.AUTO)
    making = asyncio.create_task(workshop.make(spec, progress))
    await asyncio.wait_for(asked.wait(), 10)
    workshop.set_base(load_base(base))
    await workshop.learn_engine(FakeEngine())
    await making
    assert progress.waited_seconds == 207


async def test_an_engine_that_does_not_tell_refuses_nothing(place: Place) -> None:
    await place.workshop.learn_engine(EngineOf(tells=False))
    assert (await place.make()).note == ""


@pytest.mark.parametrize("tells", [True, False])
async def test_a_weight_that_the_engine_s_element_type_cannot_hold_is_refused_before_it_is_loaded(
    place: Place, tells: bool
) -> None:
    edit_tensors(place.adapter, lambda tensors: [t.fill_(65504.0) for t in tensors.values()])
    edit_config(place.adapter, lora_alpha=32)
    await place.workshop.learn_engine(EngineOf("q_proj", "v_proj", tells=tells, rounds_to=Precision.FLOAT16))
    with pytest.raises(Refused, match="which an engine in float16 cannot hold"):
        await place.make()


async def test_an_engine_that_is_busy_at_first_is_asked_again(place: Place) -> None:
    await place.workshop.learn_engine(BusyEngine("q_proj", too_early=2), pauses=(0, 0))
    with pytest.raises(Refused, match="no adapter to 2 of its 4 modules"):
        await place.make()


async def test_an_engine_that_stays_busy_holds_nothing_up_for_ever(place: Place) -> None:
    await place.workshop.learn_engine(BusyEngine("q_proj", too_early=9), pauses=(0, 0))
    assert (await place.make()).note == ""


async def test_an_engine_that_does_not_know_the_question_is_asked_once(place: Place) -> None:
    await asyncio.wait_for(place.workshop.learn_engine(EngineOf(tells=False), pauses=(3600,)), 10)


@pytest.mark.parametrize("matrix", ["A", "B"])
async def test_an_adapter_that_was_never_trained_is_served_with_a_note_that_it_changes_nothing(
    place: Place, matrix: str
) -> None:
    edit_tensors(place.adapter, lambda tensors: [t.zero_() for name, t in tensors.items() if f"lora_{matrix}" in name])
    await place.workshop.learn_engine(FakeEngine())
    assert (await place.make()).note.startswith("it changes nothing: in every module A or B is zero")


async def test_an_adapter_with_one_module_that_acts_has_no_note(place: Place) -> None:
    edit_tensors(place.adapter, lambda tensors: [t.zero_() for name, t in tensors.items() if "layers.0" in name])
    await place.workshop.learn_engine(FakeEngine())
    assert (await place.make()).note == ""
