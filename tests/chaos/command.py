"""`python -m chaos`: everything happens to a cluster, and an observer holds its statuses against what pods serve."""

import json
import signal
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from bench.report import documents
from bench.report.machine import load_average, machine
from chaos.evidence import evidence
from chaos.node.run import play_node
from chaos.page import again, document, page
from chaos.play import Result, Tell
from chaos.stand_ins.run import play_stand_ins
from local_cluster import Cluster, Mode
from local_cluster.progress import Terminal

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_CRDS = Path(__file__).resolve().parents[2] / "crds"


class Stage(StrEnum):
    """Where it happens."""

    STAND_INS = "stand-ins"
    """A real API server and operator; pods whose engines only remember."""
    CLUSTER = "cluster"
    """A real node with real vLLM in two pods."""


_STEPS = {Stage.STAND_INS: 5000, Stage.CLUSTER: 300}


@app.command()
def chaos(
    mode: Annotated[Stage, typer.Option(help="Where it happens.")] = Stage.CLUSTER,
    seed: Annotated[int, typer.Option(help="The same seed gives the same steps.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="5,000 with stand-ins, 300 in a cluster.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Folder for steps and logs; kept whatever is found.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for chaos.json and chaos.md.")] = documents.FOLDER,
) -> None:
    """Make chaos, and look whether anybody is told what is not so."""
    # Asked to end, it takes its cluster and its processes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    host = machine() | {"load_average": load_average()}
    began = time.monotonic()

    def tell(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/dim]  {escape(line)}")

    count = steps or _STEPS[mode]
    with evidence(keep, again(mode, seed, count), tell) as found:
        result = _play(mode, found.folder, seed, count, tell)
        documents.write(out, f"chaos-{mode}", document(result, host), page(result, mode, host))
        found.good = result.is_good
    typer.echo(json.dumps(result.key_figures()))
    raise typer.Exit(0 if result.is_good else 1)


def _play(mode: Stage, folder: Path, seed: int, count: int, tell: Tell) -> Result:
    if mode is Stage.CLUSTER:
        return play_node(folder, seed, count, tell)
    fresh = Cluster("chaos", Mode.API_ONLY, progress=Terminal())
    fresh.down()
    with fresh as cluster:
        cluster.kubectl("apply", "--server-side", "-f", str(_CRDS))
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        return play_stand_ins(cluster, folder, seed, count, tell)
