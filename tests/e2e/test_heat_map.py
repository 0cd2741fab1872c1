"""Which expert answered, on the page of `kubectl lora ui` in a real browser; the pods behind it are made up."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from page_pictures.browser import chromium
from support.command_line import CommandLine, address_in
from support.scalings import told
from support.small_api_server import SmallApiServer, running
from support.stored import model_json

# [tokens, layers, experts]: a token of the question and two of the answer
VALUES = np.array([[[0, 1], [0, 1]], [[0.5, 0.5], [1, -0.75]], [[1, 0], [0.25, 0.75]]], np.float16)
MIXTURE = {"experts": [{"adapterRef": {"name": "law"}}, {"adapterRef": {"name": "code"}}], "scalingsKept": 4}
ANSWER_ID = "chatcmpl-1"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page, where a mixture has answered, and its heat map is open."""
    api = SmallApiServer()
    api.put("loramodels", model_json("mixed", mixture=MIXTURE), "ADDED")
    api.pods = {"mixed-0": {ANSWER_ID: [told(VALUES)]}}
    complaints: list[str] = []
    with (
        running(api, tmp_path_factory.mktemp("page")) as kubeconfig,
        CommandLine(kubeconfig, "team").watching("ui") as printed,
        chromium() as browser,
    ):
        page = browser.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.goto(address_in(printed))
        expect(page.locator("#connection")).to_have_text("live")
        page.get_by_role("tab", name="Playground").click()
        page.get_by_label("Question", exact=True).fill("Who answers?")
        page.keyboard.press("Enter")
        page.get_by_text("Which expert answered").click()
        expect(cells(page)).to_have_count(VALUES.shape[0] * VALUES.shape[2])
        yield page
    assert complaints == []


def cells(page: Page) -> Locator:
    return page.get_by_role("region", name="Scalings of each token").get_by_role("cell")


def numbers(page: Page, layer: str) -> list[list[str]]:
    """What the table says of each token, with this layer chosen."""
    page.get_by_label("Layer").select_option(layer)
    said = cells(page).all_inner_texts()
    return [said[row : row + 2] for row in range(0, len(said), 2)]


def papers(page: Page) -> list[str]:
    """The colour behind each number, as the browser has mixed it."""
    found: list[str] = cells(page).evaluate_all("cells => cells.map(cell => getComputedStyle(cell).backgroundColor)")
    return found


def test_it_is_a_table_of_tokens_by_experts_that_says_what_is_of_the_answer(page: Page) -> None:
    table = page.get_by_role("table").filter(has=page.get_by_role("columnheader", name="e0"))
    assert table.get_by_role("columnheader").all_inner_texts() == ["token", "e0", "e1"]
    rows = table.get_by_role("rowheader")
    assert rows.all_inner_texts() == ["0 ·word10", "1 ·word11", "2 ·word12"]
    weights = rows.evaluate_all("rows => rows.map(row => getComputedStyle(row).fontWeight)")
    assert weights == ["400", "400", "600"]


def test_any_layer_can_be_chosen_and_first_comes_the_mean_over_all(page: Page) -> None:
    assert page.get_by_label("Layer").locator("option").all_inner_texts() == ["mean over all layers", "l0", "l1"]
    assert numbers(page, "l0") == [["0.000", "1.000"], ["0.500", "0.500"], ["1.000", "0.000"]]
    assert numbers(page, "l1") == [["0.000", "1.000"], ["1.000", "-0.750"], ["0.250", "0.750"]]
    assert numbers(page, "mean over all layers") == [["0.000", "1.000"], ["0.750", "-0.125"], ["0.625", "0.375"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_say_no_more_than_the_numbers_on_them(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    said = [number for row in numbers(page, "l1") for number in row]
    assert all(re.fullmatch(r"-?\d\.\d{3}", number) for number in said)
    paper = dict(zip(said, papers(page), strict=True))
    assert len(set(paper.values())) == len(paper), "another number has another colour, and below zero another hue"
    first, second = papers(page)[1], papers(page)[2]
    assert first == second, "and the same has the same"


def test_the_keyboard_reaches_it_and_its_layers(page: Page) -> None:
    page.get_by_label("Layer").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Layer")).not_to_have_value("mean over all layers")
    page.keyboard.press("Tab")
    expect(page.get_by_role("region", name="Scalings of each token")).to_be_focused()
