"""What the API server is sent when an Event is posted."""

from lora_operator.clients.clock import SystemClock
from lora_operator.clients.events import Events
from lora_operator.domain.actions import Announcement
from support.recording_kube import RecordingKube


async def posted(message: str) -> str:
    kube = RecordingKube()
    news = Announcement("LoRAAdapter", "pirate", "uid", "Warning", "AdapterRejected", message)
    await Events(kube, SystemClock(), "operator-0").post("team", news)
    [event] = kube.sent
    note: str = event["note"]
    return note


async def test_a_message_is_sent_as_it_is() -> None:
    assert await posted("é" * 512) == "é" * 512


async def test_a_long_message_is_cut_to_the_bytes_that_the_api_server_takes() -> None:
    note = await posted("é" * 2000)
    assert len(note.encode()) <= 1024
    assert note == "é" * 510 + "…"
