"""`python -m bench.swap`: swaps revisions of adapters in use, and checks every response."""

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from bench.report import documents
from bench.report.machine import load_average, machine
from bench.served.recipes import EVERY
from bench.served.world import Model, World, build
from bench.swap.page import document, page
from bench.swap.part import PartRun, Tell, run_part
from bench.swap.results import key_figures, result_of
from bench.swap.settings import Settings, settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def swap(
    model: Annotated[Model, typer.Option(help="What is served.")] = Model.SMOLLM2,
    quick: Annotated[bool, typer.Option("--quick", help="About two minutes: a look, not a measurement.")] = False,
    pairs: Annotated[int, typer.Option(min=1, help="Of phases, without and with swaps.")] = 10,
    phase_seconds: Annotated[float, typer.Option(min=1.0)] = 20.0,
    load: Annotated[float, typer.Option(min=0.05, max=1.0, help="Share of what the machine sustains.")] = 0.6,
    seed: Annotated[int, typer.Option()] = 0,
    out: Annotated[Path, typer.Option(help="Folder for swap.json and swap.md.")] = documents.FOLDER,
) -> None:
    """Swap revisions of adapters in use under load; check every response against PEFT; compare the latency."""
    console = Console(stderr=True, highlight=False)
    wanted = settings(model, seed=seed, load=load, pairs=pairs, phase_seconds=phase_seconds, quick=quick)
    found = machine() | {"load_average": load_average()}
    began = time.monotonic()

    def tell(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.0f} s[/dim]  {escape(line)}")

    with tempfile.TemporaryDirectory(prefix="bench-swap-") as folder:
        world = prepare(Path(folder), model, wanted.max_tokens, console)
        runs = asyncio.run(_run(Path(folder), world, wanted, tell))
    results = [result_of(run, world.references, seed) for run in runs]
    key = key_figures(results)
    seconds = time.monotonic() - began
    documents.write(
        out,
        "swap",
        document(wanted, results, key, found, seconds),
        page(wanted, results, key, found, seconds),
    )
    for result in results:
        for judged in result.wrong[:5]:
            tell(f"{judged.verdict}: {judged.response.ask.model}: {judged.why}")
    typer.echo(json.dumps(key))
    raise typer.Exit(1 if any(key[name] for name in ("failed", "torn", "stale")) else 0)


def prepare(folder: Path, model: Model, max_tokens: int, console: Console) -> World:
    """The world of a run, with progress: the first time on a machine takes minutes."""
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("what PEFT in float32 answers (kept for the next run)", total=1 + len(EVERY))
        return build(folder, model, max_tokens, lambda: progress.advance(task))


async def _run(folder: Path, world: World, wanted: Settings, tell: Tell) -> list[PartRun]:
    return [await run_part(folder, world, wanted, part, tell) for part in wanted.parts]
