"""`python -m lora_demo run | env | down`."""

import shlex
import shutil
import sys
import time
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from local_cluster import binaries
from local_cluster.cluster import Cluster
from local_cluster.errors import ClusterError
from local_cluster.layout import cache_root
from local_cluster.progress import Terminal
from lora_demo import experts, installation, objects, preparation, waiting
from lora_demo.place import CLUSTER, MIXTURE, MODEL, NAMESPACE
from lora_demo.story import QUESTION, Story, StoryError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def run() -> None:
    """Set everything up and show the main job; leaves the cluster up."""
    console = Console(highlight=False)
    began = time.monotonic()
    progress = Terminal(console)
    cluster = Cluster(CLUSTER, progress=progress)
    console.rule("[bold]Preparing (once per machine)", align="left")
    prepared = preparation.prepare(console, running=cluster.status().ready)
    console.rule("[bold]A cluster and the operator", align="left")
    cluster.up()
    installation.install(cluster, (Path(prepared.operator_image), Path(prepared.runtime_image)), progress)
    console.rule("[bold]A model and three adapters", align="left")
    _apply(cluster, objects.manifest(prepared.model_folder), console)
    story = Story(cluster, _url(cluster), console)
    story.tell()
    console.rule("[bold]A mixture of the four voices, in a pod of its own", align="left")
    _apply(cluster, objects.mixture(prepared.model_folder), console)
    story.kubectl("get", "loramodels")
    experts.show(_url(cluster, MIXTURE), console)
    console.rule(f"[bold green]Done in {time.monotonic() - began:.0f} s; the cluster stays up", align="left")
    _next_steps(console)


@app.command()
def full_image() -> None:
    """Build the full CPU runtime image, serve the samples with it on a cluster of its own, and end that cluster."""
    console = Console(highlight=False)
    prepared = preparation.prepare(console, full_image=True)
    progress = Terminal(console)
    with Cluster("full-image", progress=progress) as cluster:
        images = (Path(prepared.operator_image), Path(prepared.runtime_image))
        installation.install(cluster, images, progress, installation.FULL_RUNTIME_IMAGE)
        _apply(cluster, objects.self_contained(objects.manifest(prepared.model_folder)), console)
        story = Story(cluster, _url(cluster), console)
        for name in ("smol", "pirate", "formal", "polite-pirate"):
            story.ask(name)
        story.ask_for_log_probabilities("pirate")
    console.print("the full CPU runtime image serves")


@app.command()
def env() -> None:
    """Print the shell lines that make kubectl, helm and curl speak to the demo."""
    cluster = Cluster(CLUSTER)
    if cluster.status().record is None:
        raise ClusterError("there is no demo: make demo")
    typer.echo(f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}")
    typer.echo(f"export LORA_URL={shlex.quote(_url(cluster))}")
    for name in ("kubectl", "helm"):
        if shutil.which(name) is None:
            folder = binaries.path_of(name, cache_root()).parent
            typer.echo(f'export PATH="$PATH":{shlex.quote(str(folder))}')


@app.command()
def down() -> None:
    """End the cluster; nothing of it stays but the caches."""
    told = Terminal()
    told.say("the demo is gone" if Cluster(CLUSTER, progress=told).down() else "there is no demo to end")


def _apply(cluster: Cluster, manifest: str, console: Console) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
    waiting.until_ready(cluster, console, manifest)


def _url(cluster: Cluster, model: str = MODEL) -> str:
    address = cluster.kubectl("-n", NAMESPACE, "get", "service", model, "-o", "jsonpath={.spec.clusterIP}")
    return f"http://{address}:8000/v1"


def _next_steps(console: Console) -> None:
    body = f'{{"model": "pirate", "temperature": 0, "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'
    console.print(
        "Use it yourself:\n"
        '  eval "$(make -s demo-env)"                                  # KUBECONFIG and LORA_URL\n'
        '  export PATH="$PWD/.venv/bin:$PATH"                          # kubectl lora\n'
        f"  kubectl config set-context --current --namespace={NAMESPACE}\n"
        "  kubectl get loramodels,loraadapters -o wide\n"
        f"  curl -s $LORA_URL/chat/completions -H 'Content-Type: application/json' -d {escape(shlex.quote(body))}\n"
        "  kubectl edit loraadapter pirate                             # change the weight, ask again\n"
        "  make demo-down                                              # end it; nothing stays but the caches",
        soft_wrap=True,
    )


def main() -> None:
    """Runs the command line; errors a person has to know about end it without a traceback."""
    try:
        app()
    except (ClusterError, preparation.PreparationError, waiting.NotReadyError, StoryError) as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/red] {escape(str(error))}")
        sys.exit(1)


if __name__ == "__main__":
    main()
