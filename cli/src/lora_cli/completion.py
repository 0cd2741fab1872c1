"""What the shell offers for a word that is being typed: names in the cluster, if it answers at once."""

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from lora_cli.clients.kube import Kube
from lora_cli.clients.object_store import ObjectStore
from lora_cli.clients.objects import ADAPTERS, MODELS, Objects
from lora_cli.clients.server import Server
from lora_cli.clients.server_objects import ServerObjects
from lora_cli.errors import Failed

_CONNECT_SECONDS = 1.0
"""Nobody waits longer for a word."""


def adapter_names(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Names of LoRAAdapters, in the namespace that was typed or the context's own."""
    return _names(ADAPTERS, ctx, incomplete)


def model_names(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Names of LoRAModels, in the namespace that was typed or the context's own."""
    return _names(MODELS, ctx, incomplete)


def _names(plural: str, ctx: typer.Context, incomplete: str) -> Iterator[str]:
    try:
        listed = _store(ctx.params).list(plural)
    except Failed:
        # A shell has no place for an error.
        return
    yield from (item["metadata"]["name"] for item in listed["items"] if item["metadata"]["name"].startswith(incomplete))


def _store(typed: Mapping[str, Any]) -> ObjectStore:
    if (url := typed.get("server")) is not None:
        return ServerObjects(Server(url, typed.get("api_key"), _CONNECT_SECONDS))
    kube = Kube.connect(
        typed.get("kubeconfig"), typed.get("context"), typed.get("namespace"), connect_seconds=_CONNECT_SECONDS
    )
    return Objects(kube)
