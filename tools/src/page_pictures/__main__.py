"""`python -m page_pictures`: takes the pictures of docs/images from the demo, which must be up."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import FloatRect, Page, expect

from local_cluster.cluster import Cluster
from lora_demo.place import CLUSTER, NAMESPACE, ROOT
from lora_demo.story import QUESTION
from page_pictures.browser import chromium

FOLDER = ROOT / "docs" / "images"
_MILLISECONDS = 120_000
_WIDTH, _HEIGHT, _MARGIN = 1180, 720, 16
_BOTTOM = (
    "Math.max(...[...document.querySelectorAll('section, dialog')].map((one) => one.getBoundingClientRect().bottom))"
)
_SIDES = ("smol", "pirate", "formal", "polite-pirate")


@contextmanager
def _address(kubeconfig: Path) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "lora_cli", "ui", "-n", NAMESPACE],
        env=os.environ | {"KUBECONFIG": str(kubeconfig)}, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _take(page: Page, name: str, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.mouse.move(0, 0)
    FOLDER.mkdir(exist_ok=True)
    shown: float = page.evaluate(_BOTTOM)
    clip: FloatRect = {"x": 0, "y": 0, "width": _WIDTH, "height": min(shown + _MARGIN, _HEIGHT)}
    page.screenshot(path=FOLDER / f"ui-{name}-{scheme}.png", animations="disabled", clip=clip)
    sys.stdout.write(f"docs/images/ui-{name}-{scheme}.png\n")


def _show_adapters(page: Page) -> None:
    pirate = page.locator("#adapters tbody tr").filter(
        has=page.get_by_role("button", name="Details of pirate", exact=True)
    )
    number = pirate.get_by_role("spinbutton")
    number.fill("0.7" if number.input_value() != "0.7" else "0.75")
    expect(pirate).to_contain_text(re.compile("every pod answers with"))
    number.blur()
    # A blend of it follows.
    expect(page.locator("#adapters .dot.waiting")).to_have_count(0)
    _take(page, "adapters", "light")
    pirate.get_by_role("button", name="Details of pirate").click()
    expect(page.locator("dialog tbody tr").first).to_be_visible()
    _take(page, "history", "light")
    page.keyboard.press("Escape")


def _show_answers(page: Page) -> None:
    page.get_by_role("tab", name="Playground").click()
    while page.locator("#play .side").count() < len(_SIDES):
        page.get_by_role("button", name="Add a side").click()
    for side, name in zip(page.locator("#play select").all(), _SIDES, strict=True):
        side.select_option(name)
    page.get_by_label("Most tokens").fill("40")
    page.get_by_label("Question", exact=True).fill(QUESTION)
    page.keyboard.press("Enter")
    expect(page.locator("#play .about").filter(has_text="whole after")).to_have_count(len(_SIDES))
    _take(page, "playground", "dark")


def _show_blend(page: Page) -> None:
    page.get_by_role("tab", name="Adapters").click()
    page.get_by_role("button", name="Change the blend polite-pirate").click()
    _take(page, "blend", "light")


def _show_memory(page: Page) -> None:
    page.get_by_role("tab", name="Memory").click()
    expect(page.locator("#memory article")).to_be_visible()
    _take(page, "memory", "dark")


def main() -> None:
    """Takes them all."""
    expect.set_options(timeout=_MILLISECONDS)
    with _address(Cluster(CLUSTER).kubeconfig) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, device_scale_factor=1.25)
        page.goto(address)
        expect(page.locator("#connection")).to_have_text("live")
        _show_adapters(page)
        _show_answers(page)
        _show_blend(page)
        _show_memory(page)


if __name__ == "__main__":
    main()
