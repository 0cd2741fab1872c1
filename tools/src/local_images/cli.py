"""`python -m local_images`: builds an image and prints where its archive lies."""

import sys

import typer

from local_cluster.progress import Terminal
from local_images import archives, recipes
from local_images.errors import ImageError

app = typer.Typer(
    help="Builds container images without a container engine.", no_args_is_help=True, add_completion=False
)


@app.command("base")
def _base() -> None:
    """Make the base image (Debian with Python), which the others are built on."""
    typer.echo(archives.make_base(Terminal()))


@app.command("all")
def _all() -> None:
    """Build the operator and the thin runtime: what the demo needs."""
    for recipe in (recipes.OPERATOR, recipes.RUNTIME_THIN):
        typer.echo(archives.archive(recipe, Terminal()))


@app.command("operator")
def _operator() -> None:
    """Build the operator's image."""
    typer.echo(archives.archive(recipes.OPERATOR, Terminal()))


@app.command("runtime-thin")
def _runtime_thin() -> None:
    """Build the runtime without vLLM, which it finds in /opt/env, mounted from the node."""
    typer.echo(archives.archive(recipes.RUNTIME_THIN, Terminal()))


@app.command("runtime-cpu")
def _runtime_cpu() -> None:
    """Build the full CPU runtime, with vLLM in it (6 GB)."""
    typer.echo(archives.archive(recipes.RUNTIME_CPU, Terminal()))


def main() -> None:
    """Runs the command line."""
    try:
        app()
    except ImageError as error:
        sys.stderr.write(f"local_images: {error}\n")
        sys.exit(1)
