"""Printing: words and tables for people, JSON and YAML for programs."""

import json
from collections.abc import Iterable, Mapping

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from lora_cli.domain.diagnosis import Line, Tone
from lora_cli.domain.objects import Json
from lora_cli.domain.tables import Mood, Row, Table
from lora_cli.domain.talk import visible
from lora_cli.errors import Failed
from lora_cli.options import DataFormat

_WIDE = 1000
"""Columns where there is no terminal: a program reads whole lines."""
_MOODS = {Mood.GOOD: "green", Mood.WAITING: "yellow", Mood.BAD: "red", Mood.PLAIN: ""}
_TONES = {
    Tone.TITLE: "bold", Tone.GOOD: "green", Tone.BAD: "red", Tone.WAITING: "yellow", Tone.PLAIN: "", Tone.COMMAND: "cyan",
}  # fmt: skip
_MARKS = {Tone.GOOD: "✓ ", Tone.BAD: "✗ ", Tone.WAITING: "… ", Tone.COMMAND: "  $ "}
_COLOURED = frozenset({"READY", "REASON", ""})


def console(*, stderr: bool = False) -> Console:
    """Where to print to."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=_WIDE)


def rendered(table: Table) -> RichTable | Text:
    """A table as rich draws it."""
    if not table.rows:
        return Text(table.empty)
    made = RichTable(box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        made.add_column(column, overflow="fold")
    for row in table.rows:
        made.add_row(*_styled(table.columns, row))
    return made


def show(*tables: Table) -> None:
    """Prints tables, with an empty line between them."""
    out = console()
    for number, table in enumerate(tables):
        if number:
            out.print()
        out.print(rendered(table))


def say(lines: Iterable[Line | str]) -> None:
    """Prints sentences."""
    out = console()
    for line in lines:
        tone = line.tone if isinstance(line, Line) else Tone.PLAIN
        text = line.text if isinstance(line, Line) else line
        whole = tone is Tone.COMMAND or not out.is_terminal  # to be copied, or searched
        out.print(Text(_MARKS.get(tone, "") + text, style=_TONES[tone]), soft_wrap=whole)


def note(text: str) -> None:
    """Says something on the way, on stderr: stdout is for the result."""
    console(stderr=True).print(escape(text), style="dim", soft_wrap=True)


def complain(failed: Failed) -> None:
    """Says why a command failed, and what to type next."""
    out = console(stderr=True)
    out.print(Text.assemble(("error: ", "bold red"), f"{failed.code}: {failed}"), soft_wrap=True)
    if failed.then:
        out.print(Text.assemble("next:  ", (failed.then, "cyan")), soft_wrap=True)


def dump(data: Json | list[Json], form: DataFormat) -> None:
    """Prints data."""
    match form:
        case DataFormat.JSON:
            text = json.dumps(data, indent=2, ensure_ascii=False)
        case DataFormat.YAML:
            text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip()
    typer.echo(text)


def beside(answers: Mapping[str, str]) -> None:
    """Prints texts side by side, or one after the other where there is no terminal to be wide enough."""
    out = console()
    if not out.is_terminal:
        for name, text in answers.items():
            say([Line(name, Tone.TITLE), visible(text).strip(), ""])
        return
    made = RichTable(expand=True, show_lines=False)
    for name in answers:
        made.add_column(name, ratio=1, overflow="fold")
    made.add_row(*(Text(visible(text).strip()) for text in answers.values()))
    out.print(made)


def _styled(columns: tuple[str, ...], row: Row) -> Iterable[Text]:
    for column, cell in zip(columns, row.cells, strict=True):
        yield Text(cell, style=_MOODS[row.mood] if column in _COLOURED else "")
