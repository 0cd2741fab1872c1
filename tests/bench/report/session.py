"""One run of a benchmark by a person: what can be asked of each, who is told of it, and what it leaves."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from bench.report import documents
from bench.report.machine import load_average, machine
from bench.served.recipes import EVERY
from bench.served.world import Model, World, build

ModelOption = Annotated[Model, typer.Option(help="What is served.")]
QuickOption = Annotated[bool, typer.Option("--quick", help="About two minutes: a look, not a measurement.")]
SeedOption = Annotated[int, typer.Option()]
OutOption = Annotated[Path, typer.Option(help="Folder for the JSON and the page.")]


class Session:
    """Begins with the state of the machine."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._console = Console(stderr=True, highlight=False)
        self._machine = machine() | {"load_average": load_average()}
        self._began = time.monotonic()

    def tell(self, line: str) -> None:
        """Says what goes on."""
        self._console.print(f"[dim]{time.monotonic() - self._began:6.0f} s[/dim]  {escape(line)}")

    @contextmanager
    def preparing(self, parts: int | None = None) -> Iterator[Callable[[], None]]:
        """Shows progress meanwhile: the first time on a machine takes minutes. Gives what to call after each part."""
        with Progress(console=self._console, transient=True) as progress:
            task = progress.add_task("what PEFT in float32 answers (kept for the next run)", total=parts)
            yield lambda: progress.advance(task)

    def world(self, folder: Path, model: Model, max_tokens: int) -> World:
        """The world of a run."""
        with self.preparing(1 + len(EVERY)) as advance:
            return build(folder, model, max_tokens, advance)

    def end(
        self,
        out: Path,
        key: Mapping[str, Any],
        document: Callable[[Mapping[str, Any], float], Mapping[str, Any]],
        page: Callable[[Mapping[str, Any], float], str],
        *,
        bad: bool,
    ) -> NoReturn:
        """Writes what was found, prints its key figures as the last line, and ends the process.

        Args:
            out: folder.
            key: the figures.
            document: all of it for programs, of the machine and the seconds that the run took.
            page: the same for people.
            bad: something happened that must not.
        """
        seconds = time.monotonic() - self._began
        documents.write(out, self._name, document(self._machine, seconds), page(self._machine, seconds))
        typer.echo(json.dumps(key))
        raise typer.Exit(1 if bad else 0)
