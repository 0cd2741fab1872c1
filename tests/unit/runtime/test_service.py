"""The desired document from the ConfigMap, over the wire and over a restart; readiness; what may be collected."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_api.runtime_api import Desired, DesiredAdapter, Mismatch, Part, RevisionSpec, RevisionState
from lora_api.v1alpha1.adapter import AdapterSource, Precision, Verify
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.engine.protocol import Tier
from lora_runtime.observer import Nobody
from lora_runtime.service import OutOfOrder, Service
from lora_runtime.store.content import Needed
from support.stand_in import EverySourceExists

SOURCE = AdapterSource(volume=VolumeSource(name="shared", path="a"))


def a_spec(weight: float) -> RevisionSpec:
    part = Part(source=SOURCE, digest="sha256:" + "a" * 64, weight=weight)
    return RevisionSpec.of((part,), BlendMethod.CONCAT, Precision.AUTO)


V1, V2 = a_spec(1.0), a_spec(0.4)


def a_document(sequence: int, serve: RevisionSpec | None = V1, name: str = "a") -> Desired:
    return Desired(sequence=sequence, adapters=(DesiredAdapter(name=name, uid="u", serve=serve),))


class Keeper:
    """Remembers what it was told to keep."""

    def __init__(self) -> None:
        self.kept: list[set[str]] = []
        self.full = False
        self.needed: Callable[[], Needed] = Needed

    def keep(self, needed: Callable[[], Needed]) -> None:
        self.needed = needed

    async def collect(self) -> None:
        self.kept.append({spec.revision for spec in self.needed().specs})
        if self.full:
            raise OSError(28, "No space left on device")


class Forgotten(Nobody):
    """Writes down who is forgotten."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def forget(self, name: str) -> None:
        self._names.append(name)


class Pod:
    """A service with what it talks to; `again` is the same pod after its container restarted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounted = folder / "mounted.json.gz"
        self.engine, self.files = FakeEngine(), Keeper()
        self.forgotten: list[str] = []
        self.service = Service(
            boot_id="boot", workshop=EverySourceExists(), files=self.files, state_folder=folder / "state",
            clock=time.monotonic, tidy_after_seconds=0.01, observer=Forgotten(self.forgotten),
        )  # fmt: skip

    def again(self) -> "Pod":
        return Pod(self.folder)

    async def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not holds():
            assert time.monotonic() < deadline, self.service.inventory()
            await self.service.inventory_after(self.service.inventory().etag, 0.05)

    async def keeping(self, document: Desired) -> None:
        """Waits until the document would outlive the process."""
        kept = self.folder / "state" / "desired.json.gz"
        await self.until(lambda: kept.exists() and Desired.unpacked(kept.read_bytes()) == document)

    async def serving(self, spec: RevisionSpec, name: str = "a") -> None:
        def holds() -> bool:
            found = self.service.inventory().adapter(name)
            return found is not None and found.serving == spec.revision

        await self.until(holds)


@pytest.fixture
async def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


async def test_a_pod_begins_with_the_mounted_document_before_its_engine_is_there(pod: Pod) -> None:
    pod.mounted.write_bytes(a_document(3).packed())
    await pod.service.restore(pod.mounted)
    assert pod.service.inventory().desired_sequence == 3
    assert not pod.service.settled
    pod.service.attach_engine(pod.engine)
    await pod.until(lambda: pod.service.settled)
    await pod.serving(V1)


async def test_it_says_which_object_what_is_in_service_belongs_to(pod: Pod) -> None:
    async def until_told(serving: str | None, uid: str | None) -> None:
        def holds() -> bool:
            found = pod.service.inventory().adapter("a")
            return found is not None and (found.serving, found.uid) == (serving, uid)

        await pod.until(holds)

    pod.service.attach_engine(pod.engine)
    for sequence, uid in enumerate(("first", "anew"), start=1):
        entry = DesiredAdapter(name="a", uid=uid, serve=V1)
        await pod.service.put(Desired(sequence=sequence, adapters=(entry,)))
        await until_told(V1.revision, uid)
    await pod.service.put(a_document(3, None))
    await until_told(None, None)


@pytest.mark.parametrize("mounted", [4, 9], ids=["the mounted one lags", "the mounted one is newer"])
async def test_a_restarted_container_takes_the_newer_of_the_mounted_and_the_kept_document(
    pod: Pod, mounted: int
) -> None:
    await pod.service.put(a_document(7, V2))
    await pod.keeping(a_document(7, V2))
    pod.mounted.write_bytes(a_document(mounted).packed())
    again = pod.again()
    await again.service.restore(pod.mounted)
    assert again.service.inventory().desired_sequence == max(7, mounted)


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8bgarbage", a_document(9).packed()[:-9], b"{}"], ids=repr)
async def test_a_damaged_document_is_passed_over_for_the_other_one(pod: Pod, damage: bytes) -> None:
    await pod.service.put(a_document(7))
    await pod.keeping(a_document(7))
    pod.mounted.write_bytes(damage)
    again = pod.again()
    await again.service.restore(pod.mounted)
    assert again.service.inventory().desired_sequence == 7


def test_a_document_with_a_flipped_byte_is_refused_and_no_crash() -> None:
    packed = bytearray(a_document(9).packed())
    for index in range(10, len(packed)):
        damaged = bytes(packed[:index]) + bytes([packed[index] ^ 0xFF]) + bytes(packed[index + 1 :])
        try:
            Desired.unpacked(damaged)
        except ValueError:
            continue


def test_equal_documents_are_equal_bytes() -> None:
    assert a_document(3).packed() == a_document(3).packed()
    assert a_document(3).packed()[4:8] == b"\0\0\0\0", "gzip's time stamp"


@pytest.mark.parametrize("sequence", [6, 7], ids=["older", "the same number, other content"])
async def test_a_document_that_does_not_come_after_the_current_one_is_refused(pod: Pod, sequence: int) -> None:
    await pod.service.put(a_document(7))
    with pytest.raises(OutOfOrder, match="does not come after"):
        await pod.service.put(a_document(sequence, V2))
    await pod.service.put(a_document(7))


async def test_a_patch_makes_the_next_document_of_the_one_that_it_names(pod: Pod) -> None:
    first, second = a_document(1), a_document(2, V2)
    await pod.service.put(first)
    await pod.service.patch(first.etag, second.patch_from(first))
    assert pod.service.inventory().desired_etag == second.etag
    await pod.service.patch(first.etag, second.patch_from(first))
    assert pod.service.inventory().desired_sequence == 2, "the same once more changes nothing"


async def test_a_patch_of_a_document_that_the_pod_does_not_work_on_is_refused(pod: Pod) -> None:
    first, second, third = a_document(1), a_document(2, V2), a_document(3)
    with pytest.raises(Mismatch):
        await pod.service.patch(first.etag, second.patch_from(first))
    await pod.service.put(first)
    with pytest.raises(Mismatch):
        await pod.service.patch(second.etag, third.patch_from(second))
    assert pod.service.inventory().desired_sequence == 1


async def test_an_inventory_since_an_earlier_one_tells_what_has_changed_alone(pod: Pod) -> None:
    pod.service.attach_engine(pod.engine)
    both = (DesiredAdapter(name="a", uid="u", serve=V1), DesiredAdapter(name="b", uid="v", serve=V1))
    await pod.service.put(Desired(sequence=1, adapters=both))
    await pod.serving(V1, "a")
    await pod.serving(V1, "b")
    known = pod.service.inventory()
    await pod.service.put(Desired(sequence=2, adapters=(DesiredAdapter(name="b", uid="v", serve=V2),)))
    await pod.serving(V2, "b")
    await pod.until(lambda: pod.service.inventory().adapter("a") is None and len(pod.engine.loaded) == 1)

    news = pod.service.inventory(known.etag)

    assert (news.since, [report.name for report in news.adapters], news.gone) == (known.version, ["b"], ("a",))
    assert known.followed_by(news) == pod.service.inventory()
    assert pod.service.inventory("another-boot-1") == pod.service.inventory()


async def serving_one_with_the_next_prepared(pod: Pod) -> None:
    pod.service.attach_engine(pod.engine)
    await pod.service.put(a_document(1))
    await pod.serving(V1)
    entry = DesiredAdapter(name="a", uid="u", serve=V1, prepare=V2)
    await pod.service.put(Desired(sequence=2, adapters=(entry,)))

    def prepared() -> bool:
        report = pod.service.inventory().adapters[0].report(V2.revision)
        return report is not None and report.state is RevisionState.PREPARED

    await pod.until(prepared)


async def test_the_answer_to_a_document_tells_of_what_it_switches_and_nobody_is_told_twice(pod: Pod) -> None:
    await serving_one_with_the_next_prepared(pod)
    others = asyncio.create_task(pod.service.inventory_after(pod.service.inventory().etag, 5))
    await asyncio.sleep(0)
    await pod.service.put(a_document(3, V2))
    answer = pod.service.inventory()
    assert answer.adapters[0].serving == V2.revision
    assert not others.done()
    assert await others == answer


async def test_a_switch_that_takes_its_time_does_not_keep_the_answer_and_is_told_when_it_has_happened(pod: Pod) -> None:
    await serving_one_with_the_next_prepared(pod)
    pod.engine.publishing.clear()
    await pod.service.put(a_document(3, V2))
    answer = pod.service.inventory()
    assert (answer.desired_sequence, answer.adapters[0].serving) == (3, V1.revision)
    others = asyncio.create_task(pod.service.inventory_after(answer.etag, 5))
    pod.engine.publishing.set()
    assert (await others).adapters[0].serving == V2.revision


async def test_a_failure_that_nobody_waits_for_any_more_is_news(pod: Pod) -> None:
    pod.service.attach_engine(pod.engine)
    await pod.service.put(a_document(1))
    await pod.serving(V1)
    pod.engine.answers[V2.revision] = "no"
    checked = V2.model_copy(update={"verify": Verify(prompt="Hello", contains="Ahoy")})
    entry = DesiredAdapter(name="a", uid="u", serve=V1, prepare=checked)
    await pod.service.put(Desired(sequence=2, adapters=(entry,)))
    await pod.until(lambda: len(pod.service.inventory().adapters[0].revisions) == 2 and len(pod.engine.loaded) == 1)
    known = pod.service.inventory()
    await pod.service.put(a_document(3))
    await pod.until(lambda: len(pod.service.inventory().adapters[0].revisions) == 1)
    assert known.followed_by(pod.service.inventory(known.etag)) == pod.service.inventory()


async def test_readiness_waits_for_the_first_document_only(pod: Pod) -> None:
    await pod.service.put(a_document(1))
    pod.service.attach_engine(pod.engine)
    await pod.until(lambda: pod.service.settled)
    pod.engine.gate.clear()
    await pod.service.put(a_document(2, V2))
    assert pod.service.settled
    pod.engine.gate.set()
    await pod.serving(V2)


async def test_readiness_waits_for_what_was_still_being_resolved_when_the_process_began(pod: Pod) -> None:
    await pod.service.put(a_document(1, serve=None))
    await pod.service.put(a_document(2))
    pod.engine.gate.clear()
    pod.service.attach_engine(pod.engine)

    def loading() -> bool:
        adapter = pod.service.inventory().adapter("a")
        return adapter is not None and [report.state for report in adapter.revisions] == ["Loading"]

    await pod.until(loading)
    assert not pod.service.settled
    pod.engine.gate.set()
    await pod.until(lambda: pod.service.settled)
    await pod.serving(V1)


async def test_a_declared_name_that_is_not_served_says_so_and_an_unknown_one_does_not(pod: Pod) -> None:
    await pod.service.put(a_document(1, serve=None))
    why = pod.service.not_ready("a")
    assert why is not None
    assert why.reason is Reason.PENDING
    assert (
        str(why) == "The adapter `a` is declared but not served yet (Pending): the status of its LoRAAdapter says why."
    )
    assert pod.service.not_ready("b") is None
    pod.service.attach_engine(pod.engine)
    await pod.service.put(a_document(2))
    await pod.serving(V1)
    assert pod.service.not_ready("a") is None


async def test_the_room_in_the_engine_is_told_once_it_is_there(pod: Pod) -> None:
    assert pod.service.inventory().capacity is None
    assert await pod.service.memory() is None
    pod.service.attach_engine(pod.engine)
    await pod.until(lambda: pod.service.inventory().capacity is not None)
    assert pod.service.inventory().capacity == pod.engine.capacity
    assert await pod.service.memory() == await pod.engine.memory()


async def test_where_revisions_wait_is_counted_and_no_part_of_the_inventory(pod: Pod) -> None:
    assert pod.service.tiers() == {}
    await pod.service.put(a_document(1))
    pod.service.attach_engine(pod.engine)
    await pod.serving(V1)
    etag = pod.service.inventory().etag
    assert pod.service.tiers() == {Tier.HOST: 1}
    pod.engine.loaded.clear()
    assert pod.service.tiers() == {Tier.DISK: 1}
    assert pod.service.inventory().etag == etag


async def test_an_adapter_is_forgotten_when_nothing_of_it_is_left(pod: Pod) -> None:
    await pod.service.put(a_document(1))
    pod.service.attach_engine(pod.engine)
    await pod.serving(V1)
    pod.engine.busy[pod.engine.published["a"].engine_name] = busy = asyncio.Event()
    await pod.service.put(Desired(sequence=2))
    await pod.until(lambda: pod.service.inventory().adapters[0].serving is None)
    assert pod.forgotten == [], "a request still uses it"
    busy.set()
    await pod.until(lambda: pod.forgotten == ["a"])
    assert pod.service.inventory().adapters == ()


async def test_files_of_a_revision_stay_while_requests_still_use_it(pod: Pod) -> None:
    await pod.service.put(a_document(1))
    pod.service.attach_engine(pod.engine)
    await pod.serving(V1)
    pod.engine.busy[pod.engine.published["a"].engine_name] = busy = asyncio.Event()
    await pod.service.put(a_document(2, V2))
    await pod.serving(V2)
    await pod.until(lambda: pod.files.kept[-1:] == [{V1.revision, V2.revision}])
    busy.set()
    await pod.until(lambda: pod.files.kept[-1] == {V2.revision})


async def test_a_full_disk_does_not_end_the_tidying(pod: Pod) -> None:
    pod.files.full = True
    await pod.service.put(a_document(1))
    await pod.until(lambda: len(pod.files.kept) == 1)
    pod.files.full = False
    await pod.service.put(a_document(2, V2))
    await pod.until(lambda: len(pod.files.kept) > 1)


async def test_thousands_of_names_settle_without_looking_at_all_of_them_at_each_change(pod: Pod) -> None:
    names = tuple(DesiredAdapter(name=f"n{i}", uid="u", serve=V1) for i in range(2000))
    await pod.service.put(Desired(sequence=1, adapters=names))
    pod.service.attach_engine(pod.engine)
    began = time.monotonic()
    while not pod.service.settled:
        assert time.monotonic() - began < 30
        await asyncio.sleep(0.01)
