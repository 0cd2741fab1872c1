"""What is said of an object: rows, sentences, and the command to type next."""

from datetime import timedelta

import pytest

from lora_api.error_codes import ErrorCode
from lora_cli.domain import diagnosis, rooms, tables
from lora_cli.domain.diagnosis import Line, Tone
from lora_cli.domain.objects import Adapter
from lora_cli.domain.sizes import age, size
from lora_cli.domain.tables import Mood
from lora_cli.domain.waiting import Progress, failure, standing
from support.stored import NOW, a_condition, a_stored_adapter, a_stored_model

MISFIT = a_stored_adapter(ready=("False", "ShapeMismatch"), compatible=False)


def said(adapter: Adapter) -> list[Line]:
    return list(diagnosis.of_adapter(adapter, NOW))


@pytest.mark.parametrize(
    ("adapter", "progress"),
    [
        (a_stored_adapter(), Progress.DONE),
        (a_stored_adapter(ready=("False", "Loading")), Progress.UNDER_WAY),
        (a_stored_adapter(ready=("Unknown", "Pending")), Progress.UNDER_WAY),
        (a_stored_adapter(ready=("False", "SourceUnreachable")), Progress.UNDER_WAY),
        (MISFIT, Progress.REFUSED),
        (a_stored_adapter(ready=None), Progress.UNSEEN),
        (a_stored_adapter(seen=False), Progress.UNSEEN),
    ],
)
def test_an_edit_is_done_under_way_refused_or_not_seen(adapter: Adapter, progress: Progress) -> None:
    assert standing(adapter).progress is progress


def test_a_wait_ends_with_the_code_of_what_was_refused_or_with_not_ready() -> None:
    refused = failure(MISFIT, standing(MISFIT))
    assert refused.code is ErrorCode.INCOMPATIBLE
    assert str(refused) == "pirate is not ready: ShapeMismatch: because"
    assert failure(MISFIT, standing(MISFIT), 5).code is ErrorCode.NOT_READY


def test_what_is_not_ready_is_told_why_and_what_to_type() -> None:
    lines = said(MISFIT)
    assert lines[0].text == "pirate: LoRAAdapter of smol in team"
    assert lines[1] == Line("not ready: ShapeMismatch: because", Tone.BAD)
    assert lines[3] == Line("kubectl lora rm pirate -n team", Tone.COMMAND)
    assert Line("clients get revision aaaaaaaa meanwhile, from 2 of 2 pods") in lines


def test_where_an_update_cannot_be_made_the_pods_that_have_the_old_revision_are_not_told_to_lack_it() -> None:
    counts = {"pods": {"desired": 2, "available": 2, "updated": 0}}
    lines = said(a_stored_adapter(ready=("False", "ShapeMismatch"), status=counts))
    assert Line("clients get revision aaaaaaaa meanwhile, from 2 of 2 pods") in lines
    assert Line("revision  aaaaaaaa, on 2 of 2 pods") in lines


def test_what_no_operator_has_seen_is_sent_to_the_doctor() -> None:
    assert Line("kubectl lora doctor -n team", Tone.COMMAND) in said(a_stored_adapter(seen=False))


def test_pods_that_fail_are_named() -> None:
    failing = {"failures": [{"pod": "smol-a", "reason": "LoadFailed", "message": "no room"}]}
    assert Line("pod smol-a: LoadFailed: no room", Tone.BAD) in said(a_stored_adapter(status=failing))


def test_a_blend_is_told_as_it_would_be_typed() -> None:
    members = [{"adapterRef": {"name": "pirate"}, "weight": 0.7}, {"adapterRef": {"name": "formal"}}]
    assert diagnosis.made_of(a_stored_adapter(blend={"members": members})) == "pirate=0.7 formal=1 (Concat)"


def test_a_model_is_told_with_its_room() -> None:
    room = {"capacity": {"slots": 9, "slotBytes": 1, "maxCached": 64}, "readyReplicas": 1}
    lines = [line.text for line in diagnosis.of_model(a_stored_model(status=room), NOW)]
    assert "pods      1 ready of 2 wanted" in lines
    assert "room      9 slots, 64 in host memory, in each pod" in lines


def test_rows_have_the_columns_and_the_mood_of_the_object() -> None:
    table = tables.adapters([MISFIT, a_stored_adapter("formal")], NOW, "in any namespace", everywhere=True)
    assert table.columns[0] == "NAMESPACE"
    assert [(row.cells[1], row.mood) for row in table.rows] == [("formal", Mood.GOOD), ("pirate", Mood.BAD)]
    assert table.rows[0].cells == ("team", "formal", "smol", "1", "aaaaaaaa", "2/2", "True", "Serving", "60m")
    [row] = tables.models([a_stored_model(ready=("False", "ModelLoading"))], NOW, "in namespace team").rows
    assert row.mood is Mood.WAITING


def test_where_nothing_is_that_place_is_named() -> None:
    empty = [tables.models([], NOW, "in namespace team"), tables.adapters([], NOW, "in any namespace", everywhere=True)]
    assert [table.empty for table in empty] == ["no LoRAModels in namespace team", "no LoRAAdapters in any namespace"]


def test_memory_is_told_by_size_and_what_waits_on_disk_is_counted() -> None:
    small = a_stored_adapter(
        "small", status={"rank": 8, "memory": {"hostBytes": 1024, "diskBytes": 10, "slotBytes": 5}}
    )
    large = a_stored_adapter("large", status={"rank": 64, "memory": {"hostBytes": 4096}})
    unknown = a_stored_adapter("unknown")
    rows = rooms.taken([small, unknown, large]).rows
    assert [row.cells for row in rows] == [
        ("large", "64", "-", "4.0 KiB", "-"), ("small", "8", "10 B", "1.0 KiB", "5 B"), ("unknown", "-", "-", "-", "-"),
    ]  # fmt: skip
    model = a_stored_model(status={"capacity": {"slots": 3, "slotBytes": 2048, "maxCached": 1}})
    sentences = rooms.room(model, [small, large, unknown])
    assert "6.0 KiB of device memory (2.0 KiB each)" in sentences[0]
    assert "1 of 1 places; all served ones together take 5.0 KiB" in sentences[1]
    assert sentences[2].startswith("1 wait on the pod's disk")


def test_a_status_of_a_newer_operator_is_read() -> None:
    strange = a_condition("Ready", "False", "Levitating")
    assert (
        said(a_stored_adapter(status={"conditions": [strange], "newField": 1}))[1].text
        == "not ready: Levitating: because"
    )


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=-5), "0s"), (timedelta(seconds=119), "119s"), (timedelta(minutes=119), "119m"),
        (timedelta(hours=47), "47h"), (timedelta(days=3), "3d"),
    ],
)  # fmt: skip
def test_ages_have_one_unit(passed: timedelta, text: str) -> None:
    assert age(NOW - passed, NOW) == text


@pytest.mark.parametrize(("count", "text"), [(None, "-"), (0, "0 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")])
def test_sizes_have_the_largest_unit_that_fits(count: int | None, text: str) -> None:
    assert size(count) == text
