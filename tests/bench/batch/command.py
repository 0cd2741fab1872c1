"""`python -m bench.batch`: one call with prompts for several adapters, against one call for each."""

import asyncio
import tempfile
from functools import partial
from pathlib import Path

import typer

from bench.batch.page import document, page
from bench.batch.results import key_figures, result_of
from bench.batch.run import run
from bench.batch.settings import MAX_TOKENS, settings
from bench.report import documents
from bench.report.session import ModelOption, OutOption, QuickOption, SeedOption, Session
from bench.served.world import Model

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def batch(
    model: ModelOption = Model.SMOLLM2,
    quick: QuickOption = False,
    seed: SeedOption = 0,
    out: OutOption = documents.FOLDER,
) -> None:
    """Send the same prompts together and one by one; check every answer against PEFT."""
    session = Session("batch")
    wanted = settings(model, seed=seed, quick=quick)
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as folder:
        world = session.world(Path(folder), model, MAX_TOKENS)
        result = result_of(asyncio.run(run(Path(folder), world, wanted, session.tell)), world.references)
    for mismatch in result.mismatches[:5]:
        session.tell(f"mismatch: {mismatch}")
    key = key_figures(result)
    session.end(out, key, partial(document, result, key), partial(page, result, key), bad=bool(key["mismatches"]))
