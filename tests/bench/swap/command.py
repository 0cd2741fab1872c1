"""`python -m bench.swap`: swaps revisions of adapters in use, and checks every response."""

import asyncio
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench.report import documents
from bench.report.session import ModelOption, OutOption, QuickOption, SeedOption, Session
from bench.served.world import Model, World
from bench.swap.page import document, page
from bench.swap.part import PartRun, Tell, run_part
from bench.swap.results import key_figures, result_of
from bench.swap.settings import Settings, settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def swap(
    model: ModelOption = Model.SMOLLM2,
    quick: QuickOption = False,
    pairs: Annotated[int, typer.Option(min=1, help="Of phases, without and with swaps.")] = 10,
    phase_seconds: Annotated[float, typer.Option(min=1.0)] = 20.0,
    load: Annotated[float, typer.Option(min=0.05, max=1.0, help="Share of what the machine sustains.")] = 0.6,
    seed: SeedOption = 0,
    out: OutOption = documents.FOLDER,
) -> None:
    """Swap revisions of adapters in use under load; check every response against PEFT; compare the latency."""
    session = Session("swap")
    wanted = settings(model, seed=seed, load=load, pairs=pairs, phase_seconds=phase_seconds, quick=quick)
    with tempfile.TemporaryDirectory(prefix="bench-swap-") as folder:
        world = session.world(Path(folder), model, wanted.max_tokens)
        runs = asyncio.run(_run(Path(folder), world, wanted, session.tell))
    results = [result_of(run, world.references, seed) for run in runs]
    for result in results:
        for judged in result.wrong[:5]:
            session.tell(f"{judged.verdict}: {judged.response.ask.model}: {judged.why}")
    key = key_figures(results)
    bad = any(key[name] for name in ("failed", "torn", "stale"))
    session.end(out, key, partial(document, wanted, results, key), partial(page, wanted, results, key), bad=bad)


async def _run(folder: Path, world: World, wanted: Settings, tell: Tell) -> list[PartRun]:
    return [await run_part(folder, world, wanted, part, tell) for part in wanted.parts]
