"""`python -m bench.scale`: thousands of adapters, one operator."""

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from bench.report import documents
from bench.report.machine import load_average, machine
from bench.scale.page import document, page
from bench.scale.results import key_figures
from bench.scale.run import run
from bench.scale.settings import settings
from local_cluster import Cluster, Mode

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
ROOT = Path(__file__).resolve().parents[3]


@app.command()
def scale(
    quick: Annotated[bool, typer.Option("--quick", help="A look, not a measurement.")] = False,
    adapters: Annotated[int, typer.Option(min=200, help="How many at most.")] = 5000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for scale.json and scale.md.")] = documents.FOLDER,
) -> None:
    """Start the operator over ever more adapters; count what it asks of the API server and of the pods."""
    console = Console(stderr=True, highlight=False)
    wanted = settings(adapters=adapters, quick=quick)
    found = machine() | {"load_average": load_average()}
    began = time.monotonic()

    def tell(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.0f} s[/dim]  {escape(line)}", soft_wrap=True)

    tell("starting an API server")
    with (
        tempfile.TemporaryDirectory(prefix="bench-scale-") as folder,
        Cluster(f"bench-scale-{os.getpid()}", Mode.API_ONLY, audit=True) as cluster,
    ):
        cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        done = asyncio.run(run(cluster, Path(folder), wanted, tell))
    key = key_figures(done, seed)
    seconds = time.monotonic() - began
    documents.write(out, "scale", document(done, key, found, seconds), page(done, key, found, seconds))
    typer.echo(json.dumps(key))
