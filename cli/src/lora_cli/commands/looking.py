"""`status`, `describe`, `memory`: how things stand."""

from typing import Annotated

import typer

from lora_cli import options, output
from lora_cli.clients import clock
from lora_cli.clients.objects import ADAPTERS, EVERYWHERE, MODELS
from lora_cli.domain import diagnosis, rooms, tables
from lora_cli.domain.objects import Adapter, adapter_of, model_of
from lora_cli.live import follow
from lora_cli.session import Session


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and show each change.")] = False,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")] = False,
    output_format: options.Output = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Show models and adapters, and whether every pod serves them."""
    session = Session.of(namespace, context, kubeconfig, server=server, api_key=api_key)
    place = EVERYWHERE if everywhere else None
    where = "in any namespace" if everywhere else session.where
    models, adapters = (session.objects.list(kind, namespace=place) for kind in (MODELS, ADAPTERS))
    if output_format is not None:
        output.dump({"apiVersion": "v1", "kind": "List", "items": models["items"] + adapters["items"]}, output_format)
    elif watch:
        follow(session.objects, models, adapters, place, where)
    else:
        now = clock.now()
        output.show(
            tables.models(map(model_of, models["items"]), now, where, everywhere=everywhere),
            tables.adapters(map(adapter_of, adapters["items"]), now, where, everywhere=everywhere),
        )


def describe(
    name: options.ServedName,
    output_format: options.Output = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Say how an adapter or a model stands, why it is not ready, and what to type next."""
    session = Session.of(namespace, context, kubeconfig, server=server, api_key=api_key)
    found = session.named(name)
    if output_format is not None:
        plural = ADAPTERS if isinstance(found, Adapter) else MODELS
        output.dump(session.objects.get(plural, name), output_format)
    elif isinstance(found, Adapter):
        output.say(diagnosis.of_adapter(found, clock.now(), session.place))
    else:
        output.say(diagnosis.of_model(found, clock.now(), session.place))


def memory(
    model: Annotated[str | None, typer.Option(help="Of one LoRAModel only.")] = None,
    output_format: options.Output = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Show what adapters take of disk, host and device memory in each pod, and the room there is."""
    session = Session.of(namespace, context, kubeconfig, server=server, api_key=api_key)
    stored = session.objects.list(MODELS)["items"] if model is None else [session.objects.get(MODELS, model)]
    models = [model_of(found) for found in stored]
    adapters = {found.meta.name: session.adapters_of(found.meta.name) for found in models}
    if output_format is not None:
        output.dump([rooms.data(found, adapters[found.meta.name]) for found in models], output_format)
        return
    for found in models:
        output.say(rooms.room(found, adapters[found.meta.name]))
        output.show(rooms.taken(adapters[found.meta.name]))
