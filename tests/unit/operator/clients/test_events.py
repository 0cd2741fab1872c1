"""What the API server is sent when an Event is posted, and what happens to one that it does not take."""

import asyncio
import logging

import pytest

from lora_operator.clients import events
from lora_operator.clients.clock import SystemClock
from lora_operator.clients.events import Events
from lora_operator.clients.kube import Manifest, Resource
from lora_operator.domain.actions import Announcement
from support.recording_kube import RecordingKube


def rejected(name: str = "pirate", message: str = "too wide") -> Announcement:
    return Announcement("LoRAAdapter", name, "uid", "Warning", "AdapterRejected", message)


async def posted(message: str) -> str:
    kube = RecordingKube()
    told = Events(kube, SystemClock(), "operator-0")
    told.tell("team", rejected(message=message))
    await told.post_waiting()
    [event] = kube.sent
    note: str = event["note"]
    return note


async def test_who_tells_waits_for_no_api_server_and_what_is_told_is_posted_soon_in_order() -> None:
    both = asyncio.Event()
    kube = RecordingKube(lambda _: both.set() if kube.sent else None)
    told = Events(kube, SystemClock(), "operator-0")
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        posting = group.create_task(told.post_for_ever())
        for name in ("pirate", "poet"):
            told.tell("team", rejected(name))
        assert kube.sent == []
        await both.wait()
        posting.cancel()
    assert [event["regarding"]["name"] for event in kube.sent] == ["pirate", "poet"]


async def test_one_that_is_refused_is_logged_and_the_next_one_posted(caplog: pytest.LogCaptureFixture) -> None:
    kube = RecordingKube(lambda event: 403 if event["regarding"]["name"] == "pirate" else None)
    told = Events(kube, SystemClock(), "operator-0")
    for name in ("pirate", "poet"):
        told.tell("team", rejected(name))
    with caplog.at_level(logging.WARNING):
        await told.post_waiting()
    assert [event["regarding"]["name"] for event in kube.sent] == ["poet"]
    assert caplog.messages == ["the event AdapterRejected on LoRAAdapter team/pirate is lost: Event refused"]


async def test_one_that_hangs_keeps_the_others_back_for_a_while_only(caplog: pytest.LogCaptureFixture) -> None:
    class HangsOnce(RecordingKube):
        async def create(self, resource: Resource, manifest: Manifest) -> bool:
            if manifest["regarding"]["name"] == "pirate":
                await asyncio.Event().wait()
            return await super().create(resource, manifest)

    kube = HangsOnce()
    told = Events(kube, SystemClock(), "operator-0", patience_seconds=0.01)
    for name in ("pirate", "poet"):
        told.tell("team", rejected(name))
    with caplog.at_level(logging.WARNING):
        await told.post_waiting()
    assert [event["regarding"]["name"] for event in kube.sent] == ["poet"]
    assert caplog.messages == ["the event AdapterRejected on LoRAAdapter team/pirate is lost: no answer within 0.01 s"]


async def test_no_more_wait_than_memory_is_meant_for(caplog: pytest.LogCaptureFixture) -> None:
    kube = RecordingKube()
    told = Events(kube, SystemClock(), "operator-0")
    with caplog.at_level(logging.WARNING):
        for number in range(events.MOST_WAITING + 1):
            told.tell("team", rejected(f"a{number}"))
    assert caplog.messages == [
        f"the event AdapterRejected on LoRAAdapter team/a{events.MOST_WAITING} is lost: "
        f"{events.MOST_WAITING} others wait to be posted"
    ]
    await told.post_waiting()
    assert len(kube.sent) == events.MOST_WAITING


async def test_a_message_is_sent_as_it_is() -> None:
    assert await posted("é" * 512) == "é" * 512


async def test_a_long_message_is_cut_to_the_bytes_that_the_api_server_takes() -> None:
    note = await posted("é" * 2000)
    assert len(note.encode()) <= 1024
    assert note == "é" * 510 + "…"
