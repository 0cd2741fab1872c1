"""`python -m bench.control`: how fast a changed custom resource is served by every pod."""

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

from bench.control.changes import POOL
from bench.control.node import running
from bench.control.page import document, page
from bench.control.results import judge, key_figures
from bench.control.run import Run
from bench.control.settings import REPLICAS, TOKENS, settings
from bench.report import documents
from bench.report.machine import load_average, machine
from bench.served.reference import references
from bench.served.world import Model, build
from local_cluster.progress import Terminal

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def control(
    quick: Annotated[bool, typer.Option("--quick", help="A few changes: a look, not a measurement.")] = False,
    changes: Annotated[int, typer.Option(min=1, help="Of each kind.")] = 60,
    seed: Annotated[int, typer.Option()] = 0,
    out: Annotated[Path, typer.Option(help="Folder for control.json and control.md.")] = documents.FOLDER,
) -> None:
    """Change custom resources one by one; ask every pod meanwhile which revision answers."""
    console = Console(stderr=True, highlight=False)
    wanted = settings(seed=seed, changes=changes, quick=quick)
    found = machine() | {"load_average": load_average()}
    began = time.monotonic()

    def tell(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.0f} s[/dim]  {escape(line)}")

    with tempfile.TemporaryDirectory(prefix="bench-control-", dir="/var/tmp") as name:
        folder = Path(name)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("what PEFT in float32 answers (kept for the next run)", total=None)
            world = build(folder, Model.TINY, TOKENS, lambda: progress.advance(task))
            answers = references(
                world.volumes / "models" / "base",
                world.adapters,
                POOL,
                world.prompts,
                TOKENS,
                lambda: progress.advance(task),
            )
        with running(world.volumes, Terminal()) as node:
            tell("both pods are ready")
            observed = asyncio.run(Run(node, wanted, world.prompts, answers)(tell))
            traces = node.collector.traces()
    judged = [judge(each, traces.get(each.which), answers) for each in observed]
    key = key_figures(judged, REPLICAS)
    seconds = time.monotonic() - began
    documents.write(
        out,
        "control",
        document(wanted, judged, key, found, seconds),
        page(wanted, judged, key, found, seconds),
    )
    typer.echo(json.dumps(key))
    raise typer.Exit(1 if key["wrong"] or key["never"] else 0)
