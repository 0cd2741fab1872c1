"""`python -m bench.two_hundred`: what hundreds of adapters cost, as others were measured."""

import asyncio
from functools import partial

import typer

from bench.report import documents
from bench.report.session import OutOption, QuickOption, Session
from bench.scale.api_server import api_server
from bench.two_hundred.page import document, page
from bench.two_hundred.results import key_figures
from bench.two_hundred.scene import run
from bench.two_hundred.settings import settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def two_hundred(quick: QuickOption = False, out: OutOption = documents.FOLDER) -> None:
    """Create and delete 200 adapters on two pods, add to them, and kill a pod under them."""
    session = Session("two-hundred")
    wanted = settings(quick=quick)
    session.tell("starting an API server")
    with api_server() as (cluster, folder):
        found = asyncio.run(run(cluster, folder, wanted, session.tell))
    key = key_figures(found)
    session.end(out, key, partial(document, found, key), partial(page, found, key), bad=key["early"] > 0)
