"""`kubectl lora ui` in a real browser, on a real node: what a person clicks, and what pods then serve."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from e2e.conftest import MODEL, NAMESPACE, World, an_adapter
from e2e.test_command_line import told_by_the_service
from e2e.test_live_change import serves
from page_pictures.browser import chromium
from support.command_line import CommandLine, address_in
from support.local_server import LocalServer

MILLISECONDS = 60_000
QUESTION = "Why does bread rise?"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(clean: World, browser: Browser) -> Iterator[Page]:
    """The page, for somebody who has just opened it; whatever its scripts complain of is a failure."""
    complaints: list[str] = []
    expect.set_options(timeout=MILLISECONDS)
    with CommandLine(clean.cluster.kubeconfig, NAMESPACE).watching("ui") as printed:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.set_default_timeout(MILLISECONDS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.goto(address_in(printed))
        expect(page.locator("#connection")).to_have_text("live")
        yield page
        context.close()
    assert complaints == []


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def row(page: Page, name: str) -> Locator:
    return page.locator("#adapters tbody tr").filter(
        has=page.get_by_role("button", name=f"Details of {name}", exact=True)
    )


def answers(page: Page) -> Locator:
    return page.locator("#play .assistant")


def ask(page: Page, tokens: int = 12) -> None:
    page.get_by_label("Most tokens").fill(str(tokens))
    page.get_by_label("Question", exact=True).fill(QUESTION)
    page.keyboard.press("Enter")


def test_what_others_do_is_seen_as_it_happens(clean: World, page: Page) -> None:
    expect(page.get_by_role("article", name=f"Model {MODEL}")).to_contain_text("2/2 pods")
    clean.apply(an_adapter("a", "a"), an_adapter("lost", "nowhere"))
    expect(row(page, "a")).to_contain_text("Serving")
    expect(row(page, "a")).to_contain_text("2/2")
    expect(row(page, "lost")).to_contain_text("SourceNotFound")
    row(page, "lost").get_by_role("button", name="Details of lost").click()
    expect(page.get_by_role("dialog")).to_contain_text("not ready: SourceNotFound")
    expect(page.get_by_role("dialog")).to_contain_text(f"kubectl edit loraadapter lost -n {NAMESPACE}")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    clean.delete("a", "lost")
    expect(row(page, "a")).to_have_count(0)


def test_a_slider_moves_the_weight_and_history_leads_back(clean: World, page: Page) -> None:
    clean.apply(an_adapter("a", "a"))
    expect(row(page, "a")).to_contain_text("Serving")
    first = clean.get("loraadapter", "a")["status"]["revision"]
    slider = page.get_by_role("slider", name="Weight of a")
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    expect(row(page, "a")).to_contain_text("every pod answers with")
    assert clean.get("loraadapter", "a")["spec"]["weight"] == 0.5
    serves(clean, "a", ("a", 0.5))
    expect(slider).to_be_focused()

    page.get_by_role("spinbutton", name="Weight of a, as a number").fill("-3")
    clean.until("the number to be stored", lambda: clean.get("loraadapter", "a")["spec"]["weight"] == -3)
    clean.ready("a")
    serves(clean, "a", ("a", -3))

    row(page, "a").get_by_role("button", name="Details of a").click()
    page.get_by_role("button", name=f"Roll back to {first}").click()
    expect(page.locator("dialog tbody tr").first).to_contain_text(first)
    clean.until("the weight to be back", lambda: clean.get("loraadapter", "a")["spec"]["weight"] == 1)
    clean.ready("a")
    serves(clean, "a", ("a", 1.0))


def test_answers_stream_side_by_side_and_follow_the_weight(clean: World, page: Page) -> None:
    clean.apply(an_adapter("a", "a"), an_adapter("b", "b"))
    clean.ready("a", "b")
    expect(row(page, "b")).to_contain_text("Serving")
    row(page, "a").get_by_role("button", name="Ask a").click()
    ask(page, 400)
    expect(answers(page)).to_have_attribute("aria-busy", "true")
    expect(answers(page)).not_to_be_empty()
    assert answers(page).get_attribute("aria-busy") == "true", "not held back and shown at once"
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#play .about")).to_contain_text("stopped")
    page.get_by_role("button", name="Start over").click()

    for _ in range(3):
        page.get_by_role("button", name="Add a side").click()
    expect(page.get_by_role("button", name="Four sides at most")).to_be_disabled()
    asked = ["a", "b", MODEL, "a"]
    for side, name in zip(page.locator("#play select").all(), asked, strict=True):
        side.select_option(name)
    ask(page)
    expect(page.locator("#play .about").filter(has_text="whole after")).to_have_count(4)
    assert answers(page).all_text_contents() == [told_by_the_service(clean, name) for name in asked]

    before = answers(page).nth(1).text_content()
    page.locator("#play .side").nth(1).get_by_role("spinbutton").fill("-3")
    expect(answers(page).nth(1)).not_to_have_text(before or "")
    expect(page.locator("#play .about").filter(has_text="whole after")).to_have_count(4)
    assert clean.get("loraadapter", "b")["status"]["revision"] in page.locator("#play .about").nth(1).inner_text()
    assert answers(page).nth(1).text_content() == told_by_the_service(clean, "b")


def test_a_blend_is_composed_served_and_changed(clean: World, page: Page) -> None:
    clean.apply(an_adapter("a", "a"), an_adapter("b", "b"))
    clean.ready("a", "b")
    tab(page, "Blend")
    page.get_by_label("Name", exact=True).fill("mix")
    page.get_by_role("spinbutton", name="Weight of a in the blend, as a number").fill("0.7")
    page.get_by_role("checkbox", name="b", exact=True).check()
    expect(page.locator("#blend code")).to_have_text(f"kubectl lora blend mix a=0.7 b=1 -n {NAMESPACE}")
    page.get_by_role("button", name="Serve it").click()
    expect(page.locator("#blend .moment")).to_contain_text("every pod answers with")
    serves(clean, "mix", ("a", 0.7), ("b", 1.0))
    tab(page, "Adapters")
    row(page, "mix").get_by_role("button", name="Change the blend mix").click()
    page.get_by_role("spinbutton", name="Weight of b in the blend, as a number").fill("0.5")
    page.get_by_role("button", name="Serve it").click()
    clean.until("the share to be stored", lambda: shares(clean) == {"a": 0.7, "b": 0.5})
    clean.ready("mix")
    serves(clean, "mix", ("a", 0.7), ("b", 0.5))
    tab(page, "Memory")
    expect(page.get_by_role("article", name=f"Memory of {MODEL}")).to_contain_text("3 adapters served")


def test_arrows_lead_from_tab_to_tab_and_colours_follow_the_system_until_one_is_chosen(page: Page) -> None:
    page.get_by_role("tab", name="Adapters").focus()
    for name in ("Playground", "Blend", "Memory", "Adapters", "Memory"):
        page.keyboard.press("ArrowLeft" if name == "Memory" and page.url.endswith("#adapters") else "ArrowRight")
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")

    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    page.emulate_media(color_scheme="light")
    light = paper()
    page.emulate_media(color_scheme="dark")
    dark = paper()
    assert light != dark
    theme = page.get_by_role("button", name="Colours")
    theme.click()
    assert (theme.inner_text(), paper()) == ("◐ light", light)
    theme.click()
    assert (theme.inner_text(), paper()) == ("◐ dark", dark)


def shares(world: World) -> dict[str, float]:
    members = world.get("loraadapter", "mix")["spec"]["blend"]["members"]
    return {member["adapterRef"]["name"]: member["weight"] for member in members}


def test_the_page_is_the_same_at_a_server_without_a_cluster(tmp_path: Path, browser: Browser) -> None:
    expect.set_options(timeout=MILLISECONDS)
    with (
        LocalServer(tmp_path, "pirate=hf://team/pirate@v1@0.7") as server,
        CommandLine(Path("/nowhere"), "", {"LORA_SERVER": server.url}).watching("ui") as printed,
    ):
        page = browser.new_page()
        page.goto(address_in(printed))
        expect(page.locator("header")).to_contain_text(f"server {server.url}")
        expect(page.locator("#remark")).to_contain_text("until the server's process ends")
        expect(row(page, "pirate")).to_contain_text("Serving")
        tab(page, "Blend")
        expect(page.locator("#blend")).to_contain_text(f"--server {server.url}")
        tab(page, "Adapters")
        page.get_by_label("Weight of pirate, as a number").fill("0.25")
        expect(row(page, "pirate")).to_contain_text("the server answers with")
        row(page, "pirate").get_by_role("button", name="Details of pirate").click()
        page.get_by_role("button", name="Roll back").click()
        expect(page.get_by_role("dialog").locator("tbody tr")).to_have_count(3)
        page.close()
