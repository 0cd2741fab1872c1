"""What is made of the scalings that a pod tells."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from lora_api.error_codes import ErrorCode
from lora_cli.domain.scalings import Generation, Row, generation_of, label, refusal, rows
from lora_cli.errors import Failed
from lora_cli.heat import heat_map
from lora_cli.ui import views
from support.scalings import told
from support.stored import a_stored_model

VALUES = np.random.default_rng(0).random((3, 2, 4)).astype(np.float16)
EXPERTS = [{"adapterRef": {"name": "law"}}]


def found(**how: Any) -> Generation:
    return generation_of(told(VALUES, **how))


def fails(**how: Any) -> str:
    with pytest.raises(Failed) as failed:
        rows(found(), **how)
    assert failed.value.code is ErrorCode.INVALID
    return str(failed.value)


def test_numbers_are_those_that_the_pod_had() -> None:
    assert np.array_equal(np.array(found().scalings, np.float16), VALUES)


def test_a_row_of_each_token_is_the_mean_over_layers() -> None:
    shown = rows(found())
    assert [(row.token, row.layer) for row in shown] == [(0, None), (1, None), (2, None)]
    assert np.allclose([row.scalings for row in shown], VALUES.astype(float).mean(axis=1))


@pytest.mark.parametrize("layer", ["l1", "1"])
def test_a_layer_is_named_by_its_name_or_number(layer: str) -> None:
    shown = rows(found(), layer)
    assert {row.layer for row in shown} == {"l1"}
    assert np.array_equal([row.scalings for row in shown], VALUES[:, 1])


def test_all_layers_have_a_row_each_of_one_token_or_the_mean_over_them() -> None:
    assert np.allclose([row.scalings for row in rows(found(), "all")], VALUES.astype(float).mean(axis=0))
    one = rows(found(), "all", 2)
    assert one == (Row(2, "l0", found().scalings[2][0]), Row(2, "l1", found().scalings[2][1]))


def test_where_layers_share_their_scalings_there_is_none_to_choose() -> None:
    shared = generation_of(told(VALUES[:, :1], layers=[]))
    assert np.array_equal([row.scalings for row in rows(shared)], VALUES[:, 0])
    for layer in ("all", "l0", "0"):
        with pytest.raises(Failed, match="leave --layer out"):
            rows(shared, layer)


def test_what_does_not_exist_is_said_with_what_does() -> None:
    assert "of 3, counted from 0" in fails(token=3)
    assert "such as l0, l1" in fails(layer="l7")
    assert "there are 2" in fails(layer="2")


def test_an_answer_under_way_that_has_come_to_no_token_has_no_rows() -> None:
    none = generation_of(told(VALUES[:0]))
    assert rows(none) == rows(none, "all") == rows(none, "l1") == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": [3, 2, 3]}, {"shape": [2, 2, 4]}, {"shape": [4, 2, 4]}, {"shape": [3, 2]}, {"dtype": "float32"},
        {"scalings": "no base64!"}, {"scalings": base64.b64encode(b"odd").decode()}, {"experts": ["law"]}, {"experts": None},
        {"layers": ["l0"]}, {"tokens": [1]},
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_not_drawn(wrong: dict[str, Any]) -> None:
    with pytest.raises(Failed, match="not understood"):
        generation_of(told(VALUES) | wrong)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({}, "smol is no mixture of experts"),
        ({"mixture": {"experts": EXPERTS}}, "spec.mixture.scalingsKept"),
        ({"mixture": {"experts": EXPERTS, "scalingsKept": 4}}, None),
    ],
)
def test_who_cannot_have_scalings_is_told_why(spec: dict[str, Any], says: str | None) -> None:
    refused = refusal(a_stored_model(**spec))
    assert says is None if refused is None else says is not None and says in str(refused)


def test_spaces_of_tokens_are_seen_and_the_terminal_is_not_told_what_to_do() -> None:
    assert label(" the\n\x1b[2J") == "·the↵[2J"


def test_a_heat_map_has_the_numbers_beside_their_colours() -> None:
    console = Console(width=200, force_terminal=True, color_system="truecolor", record=True, file=io.StringIO())
    console.print(heat_map(found(), rows(found(), "l0"), {10: " Where"}))
    plain = console.export_text(clear=False)
    assert ["0", "·Where", "l0", *(f"{value:.3f}" for value in VALUES[0, 0])] == plain.splitlines()[1].split()
    assert "48;2;255;176;59" in console.export_text(styles=True), "the largest is the brightest"


def test_the_page_gets_the_mean_and_each_layer() -> None:
    heat = views.heat(found(), {10: " Where"})
    assert heat["tokens"][:2] == [{"text": "·Where", "prompt": True}, {"text": "", "prompt": True}]
    assert not heat["tokens"][2]["prompt"]
    assert np.allclose(heat["mean"], VALUES.astype(float).mean(axis=1), atol=1e-4)
    assert [layer["name"] for layer in heat["layers"]] == ["l0", "l1"]
    assert np.allclose(heat["layers"][1]["rows"], VALUES[:, 1], atol=1e-4)


def test_a_number_that_json_cannot_say_is_none() -> None:
    endless = generation_of(told(np.full((1, 2, 1), np.inf, np.float16)))
    assert views.heat(endless, {})["mean"] == [[None]]
