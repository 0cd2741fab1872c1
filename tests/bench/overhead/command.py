"""`python -m bench.overhead`: the runtime against bare vLLM."""

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from bench.overhead.page import document, page
from bench.overhead.results import key_figures, result_of
from bench.overhead.run import run
from bench.overhead.settings import MAX_TOKENS, settings
from bench.report import documents
from bench.report.machine import load_average, machine
from bench.served.world import Model
from bench.swap.command import prepare

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def overhead(
    model: Annotated[Model, typer.Option(help="What is served.")] = Model.SMOLLM2,
    quick: Annotated[bool, typer.Option("--quick", help="About two minutes: a look, not a measurement.")] = False,
    pairs: Annotated[int, typer.Option(min=1, help="Of blocks, on bare vLLM and on the runtime.")] = 8,
    load: Annotated[float, typer.Option(min=0.05, max=1.0, help="Share of what bare vLLM sustains.")] = 0.5,
    burstiness: Annotated[
        float, typer.Option(min=0.1, help="Of arrivals, as in vLLM's benchmark: 1 is Poisson, more is more even.")
    ] = 25.0,
    seed: Annotated[int, typer.Option()] = 0,
    out: Annotated[Path, typer.Option(help="Folder for overhead.json and overhead.md.")] = documents.FOLDER,
) -> None:
    """Send the same load to the runtime and to bare vLLM with static adapters; compare throughput and times."""
    console = Console(stderr=True, highlight=False)
    wanted = settings(model, seed=seed, load=load, burstiness=burstiness, pairs=pairs, quick=quick)
    found = machine() | {"load_average": load_average()}
    began = time.monotonic()

    def tell(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.0f} s[/dim]  {escape(line)}")

    with tempfile.TemporaryDirectory(prefix="bench-overhead-") as folder:
        world = prepare(Path(folder), model, MAX_TOKENS, console)
        runs = asyncio.run(run(Path(folder), world, wanted, tell))
    results = [result_of(each, world.references, seed) for each in runs]
    key = key_figures(results)
    seconds = time.monotonic() - began
    documents.write(
        out,
        "overhead",
        document(wanted, results, key, found, seconds),
        page(wanted, results, key, found, seconds),
    )
    typer.echo(json.dumps(key))
    raise typer.Exit(1 if key["wrong"] else 0)
