"""From a file that people edit to what is served, with a real service and an engine that only remembers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lora_api.local_api import DeclaredBy, LocalAdapter, LocalState
from lora_api.runtime_api import AdapterFacts, ResolveRequest
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import not_fetched
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.engine.protocol import NotServed
from lora_runtime.service import Service
from lora_runtime.standalone import places
from lora_runtime.standalone.asked import Expected, NotChanged
from lora_runtime.standalone.conclude import Limits
from lora_runtime.standalone.declarations import Declarations
from lora_runtime.standalone.past import Memory
from lora_runtime.standalone.wish import HUB_TOKEN, Declared, Wish
from lora_runtime.workshop import Progress
from support.stand_in import EverySourceExists, NoFiles

SECONDS = 10.0
MOMENT = "2026-01-01T11:30:00+00:00"


class SomeSourcesExist(EverySourceExists):
    """Refuses those that a test has taken away, and can let questions wait."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.asked: list[ResolveRequest] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        self.asked.append(request)
        await self.gate.wait()
        if request.source.describe() in self.missing:
            raise not_fetched(Reason.SOURCE_NOT_FOUND, f"{request.source.describe()} is not there", retryable=True)
        return await super().resolve(request, progress)


class Machine:
    """A process without a cluster; `again` is the same machine after the process has ended."""

    def __init__(self, folder: Path, *given: str, hub_token: bool = False) -> None:
        self.folder, self.file = folder, folder / "adapters.yaml"
        self.sources, self.engine = SomeSourcesExist(), FakeEngine()
        self.service = Service(
            boot_id="boot", workshop=self.sources, files=NoFiles(), state_folder=folder / "state", clock=time.monotonic
        )
        wishes = tuple(places.adapter(text, lambda path: False) for text in given)
        declared = Declared(wishes, self.file, hub_token)
        self.declarations = Declarations(
            self.service, Limits("smol", 64), declared, Memory(folder / "state", lambda: MOMENT), time.monotonic
        )
        self.task: asyncio.Task[None] | None = None

    async def start(self, *, engine: bool = True) -> None:
        await self.service.restore(self.folder / "none")
        if engine:
            self.service.attach_engine(self.engine)
        self.task = asyncio.create_task(self.declarations.run())

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})

    def write(self, text: str) -> None:
        draft = self.file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(self.file)

    def adapter(self, name: str) -> LocalAdapter | None:
        return next((found for found in self.declarations.state().adapters if found.name == name), None)

    async def until(self, holds: Callable[[LocalState], bool]) -> LocalState:
        deadline = time.monotonic() + SECONDS
        while not holds(state := self.declarations.state()):
            assert self.task is not None
            assert not self.task.done(), self.task
            assert time.monotonic() < deadline, state
            await asyncio.sleep(0.01)
        return state

    async def ready(self, *names: str) -> LocalState:
        return await self.until(lambda state: sorted(a.served_name for a in state.adapters if a.ready) == sorted(names))


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    made = Machine(tmp_path, "given=hf://team/given@v1@0.5")
    yield made
    await made.stop()


ASKED = Wish("other", places.adapter("pirate=hf://team/other").spec, declared_by=DeclaredBy.REQUEST)
"""What a request wants served as `pirate`."""


def an_object(name: str, weight: float = 1.0, repo: str | None = None) -> str:
    return f"""
apiVersion: lora-operator.io/v1alpha1
kind: LoRAAdapter
metadata: {{name: {name}}}
spec:
  modelRef: {{name: smol}}
  source: {{huggingFace: {{repo: {repo or f"team/{name}"}}}}}
  weight: {weight}
---
"""


async def test_the_command_line_and_the_file_are_served_together(machine: Machine) -> None:
    machine.write(an_object("pirate"))
    await machine.start()
    state = await machine.ready("given", "pirate")
    assert [adapter.spec.weight for adapter in state.adapters] == [0.5, 1.0]
    assert state.adapters[0].facts is not None
    assert state.settled


async def test_an_edited_weight_is_another_revision_and_asks_no_source_again(machine: Machine) -> None:
    machine.write(an_object("pirate"))
    await machine.start()
    await machine.ready("given", "pirate")
    before, asked = machine.adapter("pirate"), len(machine.sources.asked)
    machine.write(an_object("pirate", weight=0.5))
    assert before is not None
    await machine.until(
        lambda _: (found := machine.adapter("pirate")) is not None and found.revision != before.revision
    )
    await machine.ready("given", "pirate")
    assert len(machine.sources.asked) == asked


async def test_a_name_that_leaves_the_file_is_not_served_any_more(machine: Machine) -> None:
    machine.write(an_object("pirate"))
    await machine.start()
    await machine.ready("given", "pirate")
    machine.write("# none")
    await machine.ready("given")
    assert "pirate" not in machine.engine.published


async def test_a_broken_file_changes_nothing_and_says_what_is_wrong_until_it_is_mended(machine: Machine) -> None:
    machine.write(an_object("pirate"))
    await machine.start()
    await machine.ready("given", "pirate")
    machine.write(an_object("pirate", weight=11) + an_object("formal"))
    state = await machine.until(lambda state: state.file is not None and state.file.problem is not None)
    assert state.file is not None
    assert "LoRAAdapter pirate: spec.weight" in str(state.file.problem)
    assert sorted(machine.engine.published) == ["given", "pirate"]
    machine.write(an_object("pirate", weight=0.5) + an_object("formal"))
    state = await machine.ready("given", "pirate", "formal")
    assert state.file is not None
    assert state.file.problem is None


async def test_a_file_of_another_kind_is_not_read_to_its_end(machine: Machine) -> None:
    machine.write("#" * (4 << 20) + "\n")
    await machine.start()
    await machine.until(lambda state: state.file is not None and "longer than 4194304" in str(state.file.problem))


async def test_a_file_that_is_taken_away_changes_nothing(machine: Machine) -> None:
    machine.write(an_object("pirate"))
    await machine.start()
    await machine.ready("given", "pirate")
    machine.file.unlink()
    await machine.until(lambda state: state.file is not None and "No such file" in str(state.file.problem))
    assert sorted(machine.engine.published) == ["given", "pirate"]


async def test_a_file_that_is_being_written_takes_nothing_away(machine: Machine) -> None:
    whole = an_object("pirate") + an_object("formal")
    machine.write(whole)
    await machine.start()
    await machine.ready("given", "pirate", "formal")
    begun = time.monotonic()
    while time.monotonic() < begun + 1.5:
        for text in ("", an_object("pirate"), whole):
            machine.file.write_text(text)
            await asyncio.sleep(0.05)
            assert sorted(machine.engine.published) == ["formal", "given", "pirate"]


async def test_a_name_that_is_on_the_command_line_may_not_be_in_the_file(machine: Machine) -> None:
    machine.write(an_object("given"))
    await machine.start()
    state = await machine.until(lambda state: state.file is not None and state.file.problem is not None)
    assert state.file is not None
    assert "given is declared on the command line, too" in str(state.file.problem)
    await machine.ready("given")


async def test_an_adapter_whose_new_source_is_not_there_is_served_on_with_the_reason(machine: Machine) -> None:
    machine.write(an_object("pirate"))
    await machine.start()
    await machine.ready("given", "pirate")
    machine.sources.missing.add("team/other@main")
    machine.write(an_object("pirate", repo="team/other"))
    await machine.until(lambda _: (found := machine.adapter("pirate")) is not None and not found.ready)
    await machine.until(
        lambda _: (found := machine.adapter("pirate")) is not None and found.reason is Reason.SOURCE_NOT_FOUND
    )
    found = machine.adapter("pirate")
    assert found is not None
    assert found.message == "team/other@main is not there"
    assert found.report is not None
    assert found.report.serving is not None
    assert "pirate" in machine.engine.published
    assert machine.declarations.not_ready("pirate") is None, "it is served"


async def test_clients_are_told_why_a_declared_name_is_not_served(machine: Machine) -> None:
    machine.write(an_object("pirate"))
    machine.sources.missing.add("team/pirate@main")
    await machine.start()
    await machine.ready("given")
    await machine.until(lambda _: "SourceNotFound" in str(machine.declarations.not_ready("pirate")))
    assert machine.declarations.not_ready("pirate") == NotServed(
        Reason.SOURCE_NOT_FOUND,
        "The adapter `pirate` is declared but not served yet: SourceNotFound: team/pirate@main is not there.",
    )
    assert machine.declarations.not_ready("nobody") is None


async def test_a_source_that_comes_to_be_is_found_without_an_edit(machine: Machine) -> None:
    machine.write(an_object("pirate"))
    machine.sources.missing.add("team/pirate@main")
    await machine.start()
    await machine.until(lambda _: "SourceNotFound" in str(machine.declarations.not_ready("pirate")))
    machine.sources.missing.clear()
    await machine.ready("given", "pirate")


async def test_readiness_waits_for_what_is_declared_at_the_start_while_it_is_fetched(machine: Machine) -> None:
    machine.write("# none")
    machine.sources.gate.clear()
    await machine.start()
    await machine.until(lambda state: bool(machine.sources.asked) and bool(state.adapters))
    await asyncio.sleep(0.05)
    assert not machine.service.settled
    machine.sources.gate.set()
    await machine.until(lambda state: state.settled)
    assert "given" in machine.engine.published, "served as soon as it says so"


async def test_a_process_that_starts_again_serves_what_it_served_while_a_source_is_away(machine: Machine) -> None:
    machine.write(an_object("pirate"))
    await machine.start()
    await machine.ready("given", "pirate")
    kept = machine.folder / "state" / "desired.json.gz"
    await machine.until(lambda _: kept.exists() and kept.stat().st_size > 200)
    await machine.stop()

    again = Machine(machine.folder, "given=hf://team/given@v1@0.5")
    again.sources.missing.add("team/pirate@main")
    again.write("no objects, but words")
    await again.start()
    try:
        await again.until(lambda _: sorted(again.engine.published) == ["given", "pirate"])
        again.write(an_object("pirate"))
        await again.until(
            lambda _: (found := again.adapter("pirate")) is not None and found.reason is Reason.SOURCE_NOT_FOUND
        )
        assert "pirate" in again.engine.published
    finally:
        await again.stop()


async def test_the_hub_is_asked_with_the_token_that_this_machine_has(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "given=hf://team/given", "local=/data/local", hub_token=True)
    machine.write(an_object("pirate"))
    await machine.start()
    await machine.ready("given", "local", "pirate")
    await machine.stop()
    shown = {q.source.describe(): q.source.credentials_ref for q in machine.sources.asked}
    assert {what: ref and ref.name for what, ref in shown.items()} == {
        "team/given@main": HUB_TOKEN, "team/pirate@main": HUB_TOKEN, "volume disk/data/local": None
    }  # fmt: skip


async def test_a_file_takes_the_served_name_that_a_request_had_and_the_request_gets_it_back(machine: Machine) -> None:
    machine.write("# none")
    await machine.start()
    await machine.ready("given")
    await machine.declarations.declare(ASKED, Expected(), dry_run=False)
    await machine.ready("given", "pirate")
    machine.write(an_object("pirate", weight=0.5))
    await machine.until(lambda _: (found := machine.adapter("pirate")) is not None and found.ready)
    other = machine.adapter("other")
    assert other is not None
    assert (other.ready, other.reason) == (False, Reason.NAME_CONFLICT)
    machine.write("# none")
    await machine.until(lambda _: (found := machine.adapter("other")) is not None and found.ready)
    await machine.declarations.drop("other", Expected(), dry_run=False)
    assert machine.adapter("other") is None


async def test_a_request_cannot_take_the_served_name_of_a_file_s_adapter(machine: Machine) -> None:
    machine.write(an_object("pirate"))
    await machine.start()
    await machine.ready("given", "pirate")
    with pytest.raises(NotChanged, match="the served name 'pirate' belongs to the older LoRAAdapter pirate"):
        await machine.declarations.declare(ASKED, Expected(), dry_run=False)
    await machine.ready("given", "pirate")


async def test_a_file_is_looked_at_again_once_the_command_line_s_adapter_of_that_name_is_gone(machine: Machine) -> None:
    machine.write(an_object("given", weight=2))
    await machine.start()
    await machine.until(lambda state: state.file is not None and state.file.problem is not None)
    await machine.declarations.drop("given", Expected(), dry_run=False)
    state = await machine.until(lambda _: (found := machine.adapter("given")) is not None and found.ready)
    assert state.file is not None
    assert (state.file.problem, state.adapters[0].spec.weight) == (None, 2.0)


def revisions(machine: Machine, name: str) -> list[float | None]:
    found = machine.adapter(name)
    return [] if found is None else [entry.weight for entry in found.history]


async def test_what_an_adapter_was_is_told_newest_first_and_a_refused_wish_is_no_part_of_it(machine: Machine) -> None:
    machine.write(an_object("pirate"))
    await machine.start()
    await machine.ready("given", "pirate")
    machine.write(an_object("pirate", weight=0.5))
    await machine.until(lambda _: revisions(machine, "pirate") == [0.5, 1.0])
    machine.sources.missing.add("team/other@main")
    machine.write(an_object("pirate", weight=2, repo="team/other"))
    await machine.until(
        lambda _: (found := machine.adapter("pirate")) is not None and found.reason is Reason.SOURCE_NOT_FOUND
    )
    assert revisions(machine, "pirate") == [0.5, 1.0]
    found = machine.adapter("pirate")
    assert found is not None
    source = found.history[0].source
    assert source is not None
    assert source.hugging_face is not None
    assert source.hugging_face.repo == "team/pirate"
    assert (found.history[0].digest, found.history[0].time) == (found.history[1].digest, MOMENT)


async def test_what_an_adapter_was_outlives_the_process_and_ends_with_the_adapter(machine: Machine) -> None:
    machine.write(an_object("pirate") + an_object("formal"))
    await machine.start()
    await machine.ready("given", "pirate", "formal")
    machine.write(an_object("pirate", weight=0.5) + an_object("formal"))
    await machine.until(lambda _: revisions(machine, "pirate") == [0.5, 1.0])
    kept = machine.folder / "state" / "history.json"
    await machine.until(lambda _: kept.exists() and b'"weight":0.5' in kept.read_bytes())
    await machine.stop()
    again = Machine(machine.folder, "given=hf://team/given@v1@0.25")
    machine.write(an_object("pirate", weight=0.5))
    await again.start()
    try:
        await again.ready("given", "pirate")
        assert revisions(again, "pirate") == [0.5, 1.0]
        assert revisions(again, "given") == [0.25, 0.5]
        await again.until(lambda _: b"formal" not in kept.read_bytes())
    finally:
        await again.stop()


async def test_each_change_of_a_wish_has_a_number_of_its_own(machine: Machine) -> None:
    machine.write(an_object("pirate"))
    await machine.start()
    await machine.ready("given", "pirate")
    numbers = []
    for weight in (0.5, 0.25, 0.5):
        machine.write(an_object("pirate", weight=weight))
        await machine.until(lambda state: state.adapters[1].spec.weight == weight)  # noqa: B023
        numbers.append(machine.declarations.state().adapters[1].generation)
    assert numbers == sorted(set(numbers))
    await machine.ready("given", "pirate")
    assert machine.declarations.state().adapters[1].generation == numbers[-1], "what nobody changes keeps it"


async def test_a_history_that_cannot_be_read_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "history.json").write_text('{"given": [{"revision"')
    machine = Machine(tmp_path, "given=hf://team/given@v1@0.5")
    machine.write("# none")
    await machine.start()
    try:
        await machine.ready("given")
        assert revisions(machine, "given") == [0.5]
    finally:
        await machine.stop()
