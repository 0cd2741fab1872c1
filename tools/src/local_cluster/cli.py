"""The command line: `python -m local_cluster COMMAND`. Facts to stdout, progress and errors to stderr."""

from __future__ import annotations

import shlex
import shutil
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from local_cluster import binaries, layout, records
from local_cluster.cluster import Cluster
from local_cluster.errors import ClusterError
from local_cluster.layout import Mode
from local_cluster.progress import Terminal

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A real local Kubernetes, without Docker: one node, or (--api-only) just its API server.",
)

Name = Annotated[str, typer.Option("--name", help="Which cluster; several may be up at once.")]
ApiOnly = Annotated[bool, typer.Option("--api-only", help="etcd, API server and controllers on loopback; no node.")]


class Exit(IntEnum):
    """What the program's exit status means."""

    FAILED = 1
    NOT_READY = 3
    INTERRUPTED = 130
    """What typer ends with after Ctrl-C."""


@app.command()
def up(
    name: Name = "demo",
    api_only: ApiOnly = False,
    audit: Annotated[bool, typer.Option("--audit", help="Write each API request to the audit log.")] = False,
) -> None:
    """Bring the cluster up, or heal it; return when it can be used."""
    told = Terminal()
    cluster = _cluster(name, api_only=api_only, audit=audit, progress=told)
    state = "is up" if cluster.up() else "was up already"
    told.say(f"cluster {name} {state} at {cluster.api_url}")
    kubectl = "kubectl" if shutil.which("kubectl") else binaries.path_of("kubectl", layout.cache_root())
    told.say(f'next: eval "$(python -m local_cluster env --name {name})"; {kubectl} get all -A')


@app.command()
def down(
    name: Name = "demo",
    everything: Annotated[bool, typer.Option("--all", help="Every cluster of this machine.")] = False,
    api_only: ApiOnly = False,
) -> None:
    """End the cluster and remove all of it; fine if there is none."""
    del api_only  # accepted so that `up` and `down` take the same arguments
    told = Terminal()
    names = [record.name for record in records.read_all(layout.runtime_root())] if everything else [name]
    for one in names:
        removed = Cluster(one, progress=told).down()
        told.say(f"cluster {one} is gone" if removed else f"there is no cluster {one}")


@app.command()
def status(name: Name = "demo", api_only: ApiOnly = False) -> None:
    """Show the cluster's components; exit 0 if it can be used, 3 if not."""
    del api_only
    seen = Cluster(name).status()
    console = Console(highlight=False)
    if seen.record is None:
        console.print(f"there is no cluster {name}")
        raise typer.Exit(Exit.NOT_READY)
    table = Table("component", "pid", box=None)
    for component, pid in seen.components.items():
        table.add_row(component, "[red]not running[/red]" if pid is None else str(pid))
    console.print(table)
    word = "ready" if seen.ready else "not ready"
    console.print(f"cluster {name} ({seen.record.mode}): {word}; data in {seen.record.state}", soft_wrap=True)
    if not seen.ready:
        raise typer.Exit(Exit.NOT_READY)


@app.command()
def env(name: Name = "demo", api_only: ApiOnly = False) -> None:
    """Print the shell lines that make kubectl speak to the cluster."""
    del api_only
    typer.echo(f"export KUBECONFIG={shlex.quote(str(Cluster(name).kubeconfig))}")


@app.command(name="binaries")
def build_binaries(
    only: Annotated[str, typer.Option("--only", help="Comma-separated names; default: all.")] = "",
    api_only: ApiOnly = False,
) -> None:
    """Build the programs a cluster is made of, once per machine; print where each lies."""
    wanted = only.split(",") if only else [*(binaries.needed_by(Mode.API_ONLY) if api_only else binaries.KNOWN)]
    for name, path in binaries.ensure(wanted, layout.cache_root(), Terminal()).items():
        typer.echo(f"{name}\t{path}")


@app.command(name="image-load")
def image_load(
    archives: Annotated[list[Path], typer.Argument(metavar="FILE.tar...", help="Docker or OCI archives.")],
    name: Name = "demo",
) -> None:
    """Load container images into the node; print their names."""
    cluster = Cluster(name, progress=Terminal())
    for archive in archives:
        for image in cluster.load_image(archive):
            typer.echo(image)


def main() -> None:
    """Runs the command line; errors a person has to know about end it without a traceback."""
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    try:
        app()
    except ClusterError as error:
        errors.print(f"error: {error}")
        raise SystemExit(Exit.FAILED) from error
    except SystemExit as end:
        if end.code == Exit.INTERRUPTED:
            errors.print("interrupted: run it again, or run `down`; both clean up what is half done")
        raise


def _cluster(name: str, *, api_only: bool, audit: bool, progress: Terminal) -> Cluster:
    return Cluster(name, Mode.API_ONLY if api_only else Mode.NODE, audit=audit, progress=progress)
