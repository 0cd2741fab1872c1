"""`python -m bench.tiers`: thousands of registered adapters on one engine."""

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from bench.report import documents
from bench.report.machine import load_average, machine
from bench.served.world import Model
from bench.swap.command import prepare
from bench.tiers.page import document, page
from bench.tiers.results import key_figures, result_of
from bench.tiers.run import run
from bench.tiers.settings import MAX_TOKENS, settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def tiers(
    model: Annotated[Model, typer.Option(help="What is served.")] = Model.SMOLLM2,
    quick: Annotated[bool, typer.Option("--quick", help="A look, not a measurement.")] = False,
    registered: Annotated[int, typer.Option(min=200, help="Served names.")] = 2000,
    seed: Annotated[int, typer.Option()] = 0,
    out: Annotated[Path, typer.Option(help="Folder for tiers.json and tiers.md.")] = documents.FOLDER,
) -> None:
    """Register thousands of adapters; ask hot and cold ones; check every response against PEFT."""
    console = Console(stderr=True, highlight=False)
    wanted = settings(model, seed=seed, registered=registered, quick=quick)
    found = machine() | {"load_average": load_average()}
    began = time.monotonic()

    def tell(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.0f} s[/dim]  {escape(line)}")

    with tempfile.TemporaryDirectory(prefix="bench-tiers-") as folder:
        world = prepare(Path(folder), model, MAX_TOKENS, console)
        result = result_of(asyncio.run(run(Path(folder), world, wanted, tell)), world.references, seed)
    key = key_figures(result)
    seconds = time.monotonic() - began
    documents.write(out, "tiers", document(result, key, found, seconds), page(result, key, found, seconds))
    for judged in result.wrong[:5]:
        tell(f"{judged.verdict}: {judged.response.ask.model}: {judged.why}")
    typer.echo(json.dumps(key))
    raise typer.Exit(1 if key["failed"] else 0)
