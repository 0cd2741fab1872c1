"""What is being done, on stderr, for every step that a person would wait for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import Progress as Display
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

_QUIET_SECONDS = 0.5


class Progress(Protocol):
    """Where steps are told."""

    def say(self, text: str) -> None:
        """Tells a fact."""

    def step(self, text: str) -> AbstractContextManager[None]:
        """Tells that something begins; the end of the block it guards ends it."""


class Silence:
    """Tells nobody: for programs that bring up a cluster as a part of something else."""

    def say(self, text: str) -> None:
        """Drops the text."""

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Only runs the block."""
        yield


class Terminal:
    """Tells a person: a spinner and a clock while a step runs, then a line with its seconds; plain lines in a log."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Prints the text."""
        self._console.print(text)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Shows the step while the block runs."""
        if not self._console.is_terminal:
            self._console.print(f"… {text}")
        began = time.monotonic()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        hidden = not self._console.is_terminal
        with Display(*columns, console=self._console, transient=True, disable=hidden) as display:
            display.add_task(text, total=None)
            yield
        seconds = time.monotonic() - began
        if seconds >= _QUIET_SECONDS:
            self._console.print(f"✓ {text} [dim]({seconds:.1f} s)[/dim]")
