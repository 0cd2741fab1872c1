import json

import pytest

from lora_api.v1alpha1.blend import BlendMethod
from lora_cli.domain import changes
from support.stored import a_stored_adapter

PLACE = {"huggingFace": {"repo": "team/new"}}
GIVEN = {"source": PLACE, "weight": None, "servedName": None, "digest": None}


def test_a_new_adapter_says_only_what_was_given() -> None:
    assert changes.adapter("pirate", "smol", GIVEN)["spec"] == {"modelRef": {"name": "smol"}, "source": PLACE}


def test_other_files_take_the_place_of_a_source_and_its_pin_and_leave_the_weight() -> None:
    pinned = a_stored_adapter(weight=0.5, digest="sha256:" + "a" * 64)
    test, model, source, digest = changes.replacement(pinned, "smol", GIVEN)
    assert test["op"] == "test"
    assert (model["path"], source["value"]) == ("/spec/modelRef", PLACE)
    assert digest == {"op": "remove", "path": "/spec/digest"}


def test_files_take_the_place_of_a_blend() -> None:
    blend = a_stored_adapter(blend={"members": [{"adapterRef": {"name": "a"}}]})
    steps = changes.replacement(blend, "smol", GIVEN | {"weight": 0.3})
    assert {"op": "remove", "path": "/spec/blend"} in steps
    assert {"op": "add", "path": "/spec/weight", "value": 0.3} in steps


def test_whole_numbers_are_sent_as_the_api_server_stores_them() -> None:
    sent: list[object] = [changes.weight(2.0), changes.blend({"a": 1.0, "b": 0.5}, BlendMethod.TIES, 8, 1.0)]
    sent += changes.replacement(a_stored_adapter(), "smol", GIVEN | {"weight": 3.0})
    assert ".0" not in json.dumps(sent)
    assert "0.5" in json.dumps(sent)


def test_members_are_words_with_or_without_a_weight() -> None:
    assert changes.shares(["a=0.7", "b", "c=-1"]) == {"a": 0.7, "b": 1.0, "c": -1.0}


@pytest.mark.parametrize("words", [["a=much"], ["=1"], ["a", "a=2"]])
def test_what_is_no_member_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match="write pirate="):
        changes.shares(words)
