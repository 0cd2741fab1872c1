"""A real browser without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from local_cluster.progress import Terminal
from local_images import packages


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's, which the machine gets if it has none; root, in a container, has no use for its sandbox."""
    packages.ensure(Terminal(), packages.BROWSER)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
