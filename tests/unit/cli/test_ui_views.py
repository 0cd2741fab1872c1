"""What the page is told, and what it is not told again."""

from dataclasses import replace
from typing import Any

import pytest

from lora_api.error_codes import ErrorCode
from lora_cli.domain.objects import Adapter
from lora_cli.errors import Failed
from lora_cli.ui import moments, views
from lora_cli.ui.moments import Moment
from support.stored import NOW, a_stored_adapter, a_stored_model

EDIT = Moment(generation=2, began=10.0)
OTHER = {"source": {"huggingFace": {"repo": "team/other"}}, "weight": 1}


def of_generation(number: int, *, seen: bool = True, **how: Any) -> Adapter:
    status = {"observedGeneration": number if seen else number - 1}
    adapter = a_stored_adapter(status=status, **how)
    return replace(adapter, meta=replace(adapter.meta, generation=number))


def state(*adapters: Adapter, moments: dict[str, Moment] | None = None, trouble: Failed | None = None) -> Any:
    return views.state([a_stored_model()], adapters, moments or {}, trouble, NOW)


def test_an_edit_takes_until_every_pod_answers_with_it() -> None:
    assert moments.after(EDIT, of_generation(2, seen=False), 10.2) == EDIT
    assert moments.after(EDIT, of_generation(2, ready=("Unknown", "Loading")), 10.2) == EDIT
    answered = moments.after(EDIT, of_generation(2), 10.5)
    assert answered.took_seconds == pytest.approx(0.5)
    assert moments.after(answered, of_generation(2), 99.0) == answered


def test_what_is_served_from_before_the_edit_does_not_count() -> None:
    assert moments.after(EDIT, of_generation(1), 10.5) == EDIT


@pytest.mark.parametrize("moment", [EDIT, replace(EDIT, took_seconds=0.5, revision="aaaaaaaa")])
def test_nothing_is_said_of_an_edit_that_was_edited_again(moment: Moment) -> None:
    overtaken = moments.after(moment, of_generation(3), 10.5)
    assert overtaken.over
    assert state(of_generation(3), moments={"pirate": overtaken})["adapters"]["pirate"]["moment"] is None


@pytest.mark.parametrize(
    ("adapter", "moment", "words", "mood"),
    [
        (of_generation(2, seen=False), EDIT, "on its way", "waiting"),
        (
            of_generation(2),
            replace(EDIT, took_seconds=0.51, revision="aaaaaaaa"),
            "every pod answers with aaaaaaaa, 0.51\N{NO-BREAK SPACE}s after",
            "good",
        ),
        (of_generation(2, ready=("False", "ShapeMismatch")), EDIT, "ShapeMismatch: because", "bad"),
        (of_generation(1, ready=("False", "ShapeMismatch")), EDIT, "on its way", "waiting"),
    ],
)
def test_the_moment_is_said_in_words(adapter: Adapter, moment: Moment, words: str, mood: str) -> None:
    told = state(adapter, moments={"pirate": moment})["adapters"]["pirate"]["moment"]
    assert told["words"].startswith(words)
    assert told["mood"] == mood


def test_a_page_that_knows_nothing_is_told_everything() -> None:
    there = state(a_stored_adapter())
    assert views.difference(None, there) == {**there, "whole": True}


def test_a_page_is_told_of_what_changed_and_of_what_is_gone() -> None:
    before = state(a_stored_adapter("a"), a_stored_adapter("b"), a_stored_adapter("c"))
    news = views.difference(before, state(a_stored_adapter("a"), a_stored_adapter("b", weight=0.5)))
    assert news is not None
    assert news["models"] == {}
    assert news["adapters"].keys() == {"b", "c"}
    assert (news["adapters"]["b"]["weight"], news["adapters"]["c"], news["whole"]) == (0.5, None, False)


def test_a_page_is_not_told_what_it_knows() -> None:
    assert views.difference(state(a_stored_adapter()), state(a_stored_adapter())) is None


def test_trouble_is_news_when_it_comes_and_when_it_goes() -> None:
    failed = Failed(ErrorCode.UNREACHABLE, "no route", then="kubectl lora doctor")
    news = views.difference(state(), state(trouble=failed))
    assert news is not None
    assert news["trouble"] == {"code": "Unreachable", "message": "no route", "then": "kubectl lora doctor"}
    assert views.difference(state(trouble=failed), state()) is not None


def test_an_adapter_has_the_cells_of_the_command_line() -> None:
    view = state(a_stored_adapter(weight=0.5))["adapters"]["pirate"]
    assert view["cells"]["READY"] == "True"
    assert (view["cells"]["WEIGHT"], view["weight"], view["mood"], view["blend"]) == ("0.5", 0.5, "good", None)


def test_a_blend_can_be_composed_further() -> None:
    members = [{"adapterRef": {"name": "pirate"}, "weight": 0.7}, {"adapterRef": {"name": "formal"}}]
    view = state(a_stored_adapter("polite", blend={"members": members}))["adapters"]["polite"]
    assert view["blend"] == {"method": "Concat", "rank": None, "density": None, "members": {"pirate": 0.7, "formal": 1}}


def test_one_can_go_back_to_what_was_kept_and_is_not_wanted_now() -> None:
    def entry(revision: str, **made_of: Any) -> dict[str, Any]:
        return {"revision": revision, "time": "2026-01-01T11:30:00Z", **made_of}

    was = [entry("aaaaaaaa", **OTHER), entry("bbbbbbbb", **OTHER), entry("aaaaaaaa", **OTHER), entry("cccccccc")]
    details = views.details(a_stored_adapter(status={"history": was}), NOW)
    assert details["returnable"] == [False, True, False, False]
    assert [row["cells"][0] for row in details["history"]["rows"]] == ["aaaaaaaa", "bbbbbbbb", "aaaaaaaa", "cccccccc"]
    assert details["lines"][0]["tone"] == "title"


def test_memory_is_told_model_by_model() -> None:
    models = [a_stored_model("smol"), a_stored_model("large")]
    adapters = [a_stored_adapter("a"), a_stored_adapter("b", modelRef={"name": "large"})]
    told = views.memory(models, adapters)
    assert [(room["model"], [row["cells"][0] for row in room["table"]["rows"]]) for room in told] == [
        ("smol", ["a"]),
        ("large", ["b"]),
    ]
