"""`python -m bench.overhead`: the runtime against bare vLLM."""

import asyncio
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench.overhead.page import document, page
from bench.overhead.results import key_figures, result_of
from bench.overhead.run import run
from bench.overhead.settings import MAX_TOKENS, settings
from bench.report import documents
from bench.report.session import ModelOption, OutOption, QuickOption, SeedOption, Session
from bench.served.world import Model

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def overhead(
    model: ModelOption = Model.SMOLLM2,
    quick: QuickOption = False,
    pairs: Annotated[int, typer.Option(min=1, help="Of blocks, on bare vLLM and on the runtime.")] = 8,
    load: Annotated[float, typer.Option(min=0.05, max=1.0, help="Share of what bare vLLM sustains.")] = 0.5,
    burstiness: Annotated[
        float, typer.Option(min=0.1, help="Of arrivals, as in vLLM's benchmark: 1 is Poisson, more is more even.")
    ] = 25.0,
    seed: SeedOption = 0,
    out: OutOption = documents.FOLDER,
) -> None:
    """Send the same load to the runtime and to bare vLLM with static adapters; compare throughput and times."""
    session = Session("overhead")
    wanted = settings(model, seed=seed, load=load, burstiness=burstiness, pairs=pairs, quick=quick)
    with tempfile.TemporaryDirectory(prefix="bench-overhead-") as folder:
        world = session.world(Path(folder), model, MAX_TOKENS)
        runs = asyncio.run(run(Path(folder), world, wanted, session.tell))
    results = [result_of(each, world.references, seed) for each in runs]
    key = key_figures(results)
    session.end(
        out, key, partial(document, wanted, results, key), partial(page, wanted, results, key), bad=bool(key["wrong"])
    )
