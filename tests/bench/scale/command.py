"""`python -m bench.scale`: thousands of adapters, one operator."""

import asyncio
from typing import Annotated

import typer

from bench.report import documents
from bench.report.session import OutOption, QuickOption, SeedOption, Session
from bench.scale.api_server import api_server
from bench.scale.page import document, page
from bench.scale.results import key_figures
from bench.scale.run import run
from bench.scale.settings import settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def scale(
    quick: QuickOption = False,
    adapters: Annotated[int, typer.Option(min=200, help="How many at most.")] = 5000,
    seed: SeedOption = 0,
    out: OutOption = documents.FOLDER,
) -> None:
    """Start the operator over ever more adapters; count what it asks of the API server and of the pods."""
    session = Session("scale")
    wanted = settings(adapters=adapters, quick=quick)
    session.tell("starting an API server")
    with api_server() as (cluster, folder):
        done = asyncio.run(run(cluster, folder, wanted, session.tell))
    key = key_figures(done, seed)
    session.end(
        out,
        key,
        lambda machine, seconds: document(done, key, machine, seconds),
        lambda machine, seconds: page(done, key, machine, seconds),
        bad=False,
    )
