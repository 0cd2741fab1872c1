"""`python -m bench.tiers`: thousands of registered adapters on one engine."""

import asyncio
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench.report import documents
from bench.report.session import ModelOption, OutOption, QuickOption, SeedOption, Session
from bench.served.world import Model
from bench.tiers.page import document, page
from bench.tiers.results import key_figures, result_of
from bench.tiers.run import run
from bench.tiers.settings import MAX_TOKENS, settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def tiers(
    model: ModelOption = Model.SMOLLM2,
    quick: QuickOption = False,
    registered: Annotated[int, typer.Option(min=200, help="Served names.")] = 2000,
    seed: SeedOption = 0,
    out: OutOption = documents.FOLDER,
) -> None:
    """Register thousands of adapters; ask hot and cold ones; check every response against PEFT."""
    session = Session("tiers")
    wanted = settings(model, seed=seed, registered=registered, quick=quick)
    with tempfile.TemporaryDirectory(prefix="bench-tiers-") as folder:
        world = session.world(Path(folder), model, MAX_TOKENS)
        result = result_of(asyncio.run(run(Path(folder), world, wanted, session.tell)), world.references, seed)
    for judged in result.wrong[:5]:
        session.tell(f"{judged.verdict}: {judged.response.ask.model}: {judged.why}")
    key = key_figures(result)
    session.end(out, key, partial(document, result, key), partial(page, result, key), bad=bool(key["failed"]))
