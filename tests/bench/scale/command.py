"""`python -m bench.scale`: thousands of adapters, one operator."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bench.report import documents
from bench.report.session import OutOption, QuickOption, SeedOption, Session
from bench.scale.page import document, page
from bench.scale.results import key_figures
from bench.scale.run import run
from bench.scale.settings import settings
from local_cluster import Cluster, Mode, records
from local_cluster.layout import runtime_root

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
ROOT = Path(__file__).resolve().parents[3]
_PREFIX = "bench-scale-"


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
    _remove_those_of_killed_runs()
    session.tell("starting an API server")
    with (
        tempfile.TemporaryDirectory(prefix="bench-scale-") as folder,
        Cluster(f"{_PREFIX}{os.getpid()}", Mode.API_ONLY, audit=True) as cluster,
    ):
        cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        done = asyncio.run(run(cluster, Path(folder), wanted, session.tell))
    key = key_figures(done, seed)
    session.end(
        out,
        key,
        lambda machine, seconds: document(done, key, machine, seconds),
        lambda machine, seconds: page(done, key, machine, seconds),
        bad=False,
    )


def _remove_those_of_killed_runs() -> None:
    for record in records.read_all(runtime_root()):
        pid = record.name.removeprefix(_PREFIX)
        if record.name.startswith(_PREFIX) and not Path("/proc", pid).exists():
            Cluster(record.name, record.mode).down()
