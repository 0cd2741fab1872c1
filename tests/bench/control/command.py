"""`python -m bench.control`: how fast a changed custom resource is served by every pod."""

import asyncio
import gc
import tempfile
from functools import partial
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from bench.control.bare import bare_pods, run_bare
from bench.control.changes import plan, source
from bench.control.flips import Flips
from bench.control.node import running
from bench.control.page import document, page
from bench.control.results import judge, key_figures
from bench.control.run import make_changes
from bench.control.settings import LAYERS, PAUSE_SECONDS, PROMPT_TOKENS, REPLICAS, TOKENS, settings
from bench.report import documents
from bench.report.session import OutOption, QuickOption, SeedOption, Session
from bench.served.reference import Computed
from bench.served.world import Model, build
from local_cluster.progress import Terminal
from support.models import tiny_adapter

_FIRST_SEED = 100
"""Of the sources' values: others than those of the world's own adapters."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def control(
    quick: QuickOption = False,
    changes: Annotated[int, typer.Option(min=1, help="Of each kind.")] = 60,
    pause: Annotated[
        float, typer.Option(min=0, help="Seconds from an answer to the next question, unless the pod goes over.")
    ] = PAUSE_SECONDS,
    seed: SeedOption = 0,
    out: OutOption = documents.FOLDER,
) -> None:
    """Change custom resources one by one; ask every pod meanwhile which revision answers."""
    session = Session("control")
    wanted = settings(seed=seed, changes=changes, quick=quick, pause_seconds=pause)
    with tempfile.TemporaryDirectory(prefix="bench-control-", dir="/var/tmp") as name:
        folder = Path(name)
        with session.preparing() as advance:
            world = build(folder, Model.TINY, TOKENS, advance, tiny_layers=LAYERS)
            base = world.volumes / "models" / "base"
            prompts = [prompt[:PROMPT_TOKENS] for prompt in world.prompts]
            sources = {
                source(number): world.volumes / "adapters" / source(number) for number in range(wanted.most_sources)
            }
            for seed, place in enumerate(sources.values(), start=_FIRST_SEED):
                tiny_adapter(place, base, seed=seed)
            answers = Computed(base, {**world.adapters, **sources}, prompts, TOKENS, advance)
            planned = list(plan(wanted, answers, Random(wanted.seed)))
        with running(world.volumes, Terminal()) as node:
            session.tell("both pods are ready")
            # What was made before stays: while the collector looked through it again, nothing would be observed.
            gc.freeze()
            observed = asyncio.run(make_changes(node, wanted, planned, prompts, answers, session.tell))
            traces, flips = node.collector.traces(), Flips(node.logs())
            session.tell("plain vLLM in their place")
            with bare_pods(node) as pods:
                observed += asyncio.run(run_bare(node, pods, wanted, prompts, answers))
    judged = [judge(each, traces.get(each.which), answers, flips) for each in observed]
    key = key_figures(judged, REPLICAS)
    bad = any(key[count] for count in ("wrong", "never", "unready", "untold"))
    session.end(out, key, partial(document, wanted, judged, key), partial(page, wanted, judged, key), bad=bad)
