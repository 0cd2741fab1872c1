"""Which revision is gone back to, and what is written for it."""

from typing import Any

import pytest

from lora_api.error_codes import ErrorCode
from lora_cli.domain.history import chosen, history, remarks, steps_back
from lora_cli.domain.objects import Json
from lora_cli.errors import Failed
from support.stored import NOW, a_stored_adapter

COMMIT = {"huggingFace": {"repo": "team/pirate", "revision": "c" * 40}}
VOLUME = {"volume": {"name": "adapters", "path": "pirate"}}
DIGEST = "sha256:" + "d" * 64
BLEND = {"members": [{"adapterRef": {"name": "pirate"}, "weight": 0.7}]}


def entry(revision: str, **made_of: Any) -> Json:
    made_of.setdefault("source", COMMIT)
    return {"revision": revision, "time": "2026-01-01T11:30:00Z", "digest": DIGEST, "weight": 0.5, **made_of}


def remembering(*entries: Json, **how: Any) -> Any:
    return a_stored_adapter(status={"history": list(entries)}, **how)


def values(steps: list[Json]) -> dict[str, Any]:
    return {step["path"]: step.get("value", step["op"]) for step in steps}


def test_the_revision_before_is_gone_back_to() -> None:
    assert chosen(remembering(entry("aaaaaaaa"), entry("bbbbbbbb")), None).revision == "bbbbbbbb"


def test_after_an_update_that_was_refused_it_is_the_one_that_is_served() -> None:
    refused = remembering(entry("aaaaaaaa"), entry("bbbbbbbb"), compatible=False, ready=("False", "ShapeMismatch"))
    assert chosen(refused, None).revision == "aaaaaaaa"


def test_before_the_operator_has_seen_the_last_edit_it_is_the_newest() -> None:
    assert chosen(remembering(entry("aaaaaaaa"), entry("bbbbbbbb"), seen=False), None).revision == "aaaaaaaa"


def test_a_revision_is_named_by_its_beginning() -> None:
    assert chosen(remembering(entry("aaaaaaaa"), entry("abbbbbbb"), entry("cccccccc")), "ab").revision == "abbbbbbb"


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("a", "2 revisions of pirate begin with a: aaaaaaaa, abbbbbbb"),
        ("", "an empty word names no revision"),
    ],
)
def test_what_names_no_single_revision_is_refused(named: str, why: str) -> None:
    with pytest.raises(Failed, match=why) as failed:
        chosen(remembering(entry("aaaaaaaa"), entry("abbbbbbb"), entry("cccccccc")), named)
    assert failed.value.code is ErrorCode.INVALID


def test_a_revision_that_was_there_twice_is_one_and_another_that_begins_with_it_is_not_meant() -> None:
    adapter = remembering(entry("bb"), entry("aaaa"), entry("bb", weight=2), entry("bbbb"))
    assert chosen(adapter, "bb") == adapter.status.history[0]


@pytest.mark.parametrize("named", ["aaa", "bbbbbb"])
def test_only_the_begin_of_a_revision_names_it(named: str) -> None:
    with pytest.raises(Failed, match="has not had"):
        chosen(remembering(entry("caaaaaaa"), entry("dbbbbbbb")), named)


@pytest.mark.parametrize(
    ("entries", "named", "why"),
    [
        ([], None, "has not had an earlier revision"),
        ([entry("aaaaaaaa")], None, "has not had an earlier revision"),
        ([entry("aaaaaaaa")], "bb", "has not had a revision that is bb or begins so"),
        ([entry("aaaaaaaa"), entry("bbbbbbbb", source=None)], None, "did not keep what it was made of"),
    ],
)
def test_without_one_that_is_known_it_says_so(entries: list[Json], named: str | None, why: str) -> None:
    with pytest.raises(Failed, match=why) as failed:
        chosen(remembering(*entries), named)
    assert failed.value.code is ErrorCode.NOT_FOUND
    assert failed.value.then == "kubectl lora history pirate -n team"


def test_going_back_writes_the_pinned_place_and_fails_if_the_spec_was_changed() -> None:
    adapter = remembering(entry("aaaaaaaa"), entry("bbbbbbbb", precision="BFloat16"))

    steps = steps_back(adapter, chosen(adapter, None))

    assert steps[0] == {"op": "test", "path": "/metadata/generation", "value": 1}
    assert values(steps[1:]) == {"/spec/source": COMMIT, "/spec/weight": 0.5, "/spec/precision": "BFloat16"}


def test_a_place_that_does_not_name_its_bytes_gets_a_digest() -> None:
    adapter = remembering(entry("aaaaaaaa"), entry("bbbbbbbb", source=VOLUME))
    assert values(steps_back(adapter, chosen(adapter, None)))["/spec/digest"] == DIGEST


def test_a_digest_that_was_insisted_on_goes_back_too() -> None:
    pinned = remembering(entry("aaaaaaaa"), entry("bbbbbbbb"), digest="sha256:" + "e" * 64)
    assert values(steps_back(pinned, chosen(pinned, None)))["/spec/digest"] == DIGEST
    assert any("pins the files" in remark for remark in remarks(pinned, chosen(pinned, None)))


def test_from_files_to_a_blend_and_back_leaves_nothing_of_the_other() -> None:
    files = remembering(entry("aaaaaaaa"), entry("bbbbbbbb", source=None, digest=None, blend=BLEND), digest=DIGEST)
    to_blend = values(steps_back(files, chosen(files, None)))
    assert (to_blend["/spec/source"], to_blend["/spec/digest"]) == ("remove", "remove")
    assert to_blend["/spec/blend"]["members"] == BLEND["members"]
    assert any("members are as they are now" in remark for remark in remarks(files, chosen(files, None)))

    blend = remembering(entry("aaaaaaaa", source=None, blend=BLEND), entry("bbbbbbbb"), blend=BLEND)
    assert values(steps_back(blend, chosen(blend, None)))["/spec/blend"] == "remove"


def test_the_table_marks_what_is_served_once() -> None:
    rows = history(remembering(entry("aaaaaaaa"), entry("bbbbbbbb"), entry("aaaaaaaa")), NOW).rows
    assert [(row.cells[0], row.cells[2]) for row in rows] == [
        ("aaaaaaaa", "served"),
        ("bbbbbbbb", ""),
        ("aaaaaaaa", ""),
    ]
    assert rows[0].cells[1] == "30m ago"
