"""Pages whose commands run as a reader would run them, one after another, in one shell.

A comment in front of a block, which nobody sees, says what else it is:

    <!-- file: pirate.yaml -->      the block is the content of a file that later blocks use
    <!-- skip: why -->              it is not run in tests
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])

_SECONDS = 300
_NEXT = "<<next snippet>>"
_RUN_BY = {"sh": "{}", "python": f"{sys.executable} - <<'PROGRAM'\n{{}}PROGRAM"}
_COMMENT = re.compile(r"<!-- (file|skip): (.+?) -->")


@dataclass(frozen=True)
class Snippet:
    """A block of code in a page."""

    page: Path
    line: int
    heading: str
    language: str
    text: str
    file: str = ""
    """The file whose content it is."""
    skipped: str = ""
    """Why it is not run in tests."""

    def __str__(self) -> str:
        return f"{os.path.relpath(self.page, ROOT)}:{self.line}"


def snippets(page: Path) -> list[Snippet]:
    """All of a page, in order."""
    found, heading, said = [], "", dict[str, str]()
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    for before, token in zip([tokens[0], *tokens], tokens, strict=False):
        if before.type == "heading_open":
            heading = token.content
        elif token.type == "html_block":
            said |= dict(_COMMENT.findall(token.content))
        elif token.type == "fence" and token.map is not None:
            made = (page, token.map[0] + 1, heading, token.info, token.content)
            found.append(Snippet(*made, file=said.get("file", ""), skipped=said.get("skip", "")))
            said = {}
    return found


def run(page: Path, folder: Path, environment: Mapping[str, str], *, means: Mapping[str, str]) -> dict[str, str]:
    """Runs a page's commands and programs; the first that fails ends it.

    Args:
        page: what to run.
        folder: where its reader stands.
        environment: further variables.
        means: words of the page that are others here, such as the name of the model.

    Returns:
        What was printed, by heading.
    """
    script, run_ones = ["set -euo pipefail"], list[Snippet]()
    for snippet in snippets(page):
        text = _meant(snippet.text, means)
        if snippet.file:
            (folder / snippet.file).write_text(text, encoding="utf-8")
        elif snippet.language in _RUN_BY and not snippet.skipped:
            script += [f"printf '{_NEXT}'", _RUN_BY[snippet.language].format(text)]
            run_ones.append(snippet)
    _, *printed = _output("\n".join(script), folder, environment, run_ones).split(_NEXT)
    told = dict[str, str]()
    for snippet, output in zip(run_ones, printed, strict=True):
        told[snippet.heading] = told.get(snippet.heading, "") + output
    return told


def _meant(text: str, means: Mapping[str, str]) -> str:
    for word, meaning in means.items():
        text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", meaning, text)
    return text


def _output(script: str, folder: Path, environment: Mapping[str, str], run_ones: list[Snippet]) -> str:
    with subprocess.Popen(
        ["bash", "-c", script], cwd=folder, env={**os.environ, **environment}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as shell:  # fmt: skip
        try:
            printed, _ = shell.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            printed, _ = shell.communicate()
    output = printed.decode(errors="replace")
    last = run_ones[output.count(_NEXT) - 1]
    assert shell.returncode == 0, f"{last} ended with {shell.returncode}:\n{last.text}\n{output.split(_NEXT)[-1]}"
    return output
