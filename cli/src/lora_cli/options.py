"""Options that several commands have, each said once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lora_cli.completion import adapter_names, model_names


class DataFormat(StrEnum):
    """How a result is printed for programs."""

    JSON = "json"
    YAML = "yaml"


class DryRun(StrEnum):
    """Whether a change is only tried."""

    NONE = "none"
    SERVER = "server"


Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace; that of the kubeconfig's context when not given.")
]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig; the current one when not given.")]
Kubeconfig = Annotated[
    Path | None, typer.Option(help="Kubeconfig file; KUBECONFIG or ~/.kube/config when not given.", dir_okay=False)
]
Server = Annotated[
    str | None,
    typer.Option(
        metavar="URL", envvar="LORA_SERVER", help="A `lora-runtime serve` without a cluster, as http://127.0.0.1:8000."
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        envvar="LORA_API_KEY",
        help="Key to show who serves; in a cluster, that of the model's Secret if you may read it.",
    ),
]
Output = Annotated[DataFormat | None, typer.Option("--output", "-o", help="Print data instead of words.")]
Try = Annotated[
    DryRun, typer.Option("--dry-run", help="server: have the API server check the change, and change nothing.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Return when every pod serves it, or it is refused.")]
Timeout = Annotated[float, typer.Option(min=0, help="With --wait: how many seconds to wait.")]
AdapterName = Annotated[str, typer.Argument(metavar="NAME", help="The LoRAAdapter.", autocompletion=adapter_names)]
ServedName = Annotated[
    str, typer.Argument(metavar="NAME", help="A LoRAAdapter, or a LoRAModel.", autocompletion=adapter_names)
]
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="The LoRAModel.", autocompletion=model_names)]
InModel = Annotated[
    str | None,
    typer.Option("--model", help="The LoRAModel; required in a cluster.", autocompletion=model_names),
]


def required(model: str | None, server: str | None) -> str:
    """The model that was named; a server has but one.

    Raises:
        typer.BadParameter: a cluster has many.
    """
    if model is None and server is None:
        raise typer.BadParameter("name the LoRAModel by --model", param_hint="--model")
    return model or ""
