"""`add`, `rm`, `clear`, `scale`, `blend`: what is served."""

from collections.abc import Iterable
from typing import Annotated

import typer

from lora_api.v1alpha1.blend import BlendMethod
from lora_cli import options, output
from lora_cli.clients.disk import path_of
from lora_cli.clients.objects import ADAPTERS, MODELS
from lora_cli.commands.finishing import WAIT_SECONDS, finish, told
from lora_cli.domain import changes
from lora_cli.domain.objects import adapter_of
from lora_cli.domain.sources import FORMS, on_disk, parse_source
from lora_cli.errors import Failed
from lora_cli.options import DryRun
from lora_cli.session import Session


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new LoRAAdapter.")],
    source: Annotated[str, typer.Option("--from", help=f"Where its files are: {FORMS}.")],
    model: options.InModel = None,
    weight: Annotated[
        float | None, typer.Option(help="How strongly it acts, from -10 to 10; 1, as trained, when not given.")
    ] = None,
    served_name: Annotated[str | None, typer.Option(help="What clients put in model=; NAME when not given.")] = None,
    credentials: Annotated[str | None, typer.Option(help="Secret to read the files with.")] = None,
    digest: Annotated[str | None, typer.Option(help="Refuse files with another digest.")] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="If there is one of this name, serve it from here; what is not given stays."),
    ] = False,
    wait: options.Wait = False,
    timeout: options.Timeout = WAIT_SECONDS,
    dry_run: options.Try = DryRun.NONE,
    output_format: options.Output = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Serve an adapter under a new name, or other files under one that there is."""
    model = options.required(model, server)
    place = path_of(source) if server is not None else None
    found = parse_source(source, credentials) if place is None else on_disk(place)
    spec = {"source": changes.written(found), "weight": weight, "servedName": served_name, "digest": digest}
    session = Session.of(namespace, context, kubeconfig, dry_run, server, api_key)
    if place is not None:
        session.check_here(place)
    model = session.model_name(model)
    before = session.objects.find(ADAPTERS, name) if replace else None
    if before is None:
        changed = session.objects.create(ADAPTERS, changes.adapter(name, model, spec))
    else:
        changed = session.objects.patch(ADAPTERS, name, changes.replacement(adapter_of(before), model, spec))
    finish(session, changed, "added" if before is None else "replaced", wait=wait, timeout=timeout, form=output_format)


def remove(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="LoRAAdapters.", autocompletion=options.adapter_names)
    ],
    dry_run: options.Try = DryRun.NONE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Serve adapters no longer; requests under way end well."""
    session = Session.of(namespace, context, kubeconfig, dry_run, server, api_key)
    _remove(session, names)


def clear(
    model: options.InModel = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: options.Try = DryRun.NONE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Remove all adapters of a model."""
    model = options.required(model, server)
    session = Session.of(namespace, context, kubeconfig, dry_run, server, api_key)
    model = session.model_name(model)
    names = [adapter.meta.name for adapter in session.adapters_of(model)]
    if not names:
        # Of a model that is gone they may be left; without any, the name was a mistake.
        session.objects.get(MODELS, model)
        output.say([f"{model} has no adapters {session.where}"])
        return
    if not (yes or session.dry_run):
        typer.confirm(f"Remove {len(names)} adapters of {model}: {', '.join(names)}?", abort=True)
    _remove(session, names)


def scale(
    name: options.AdapterName,
    weight: Annotated[
        float, typer.Argument(metavar="WEIGHT", help="From -10 to 10; 0 is the base model, 1 as trained.")
    ],
    wait: options.Wait = False,
    timeout: options.Timeout = WAIT_SECONDS,
    dry_run: options.Try = DryRun.NONE,
    output_format: options.Output = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Change how strongly an adapter acts, while it serves."""
    session = Session.of(namespace, context, kubeconfig, dry_run, server, api_key)
    scaled = session.objects.merge(ADAPTERS, name, changes.weight(weight))
    finish(session, scaled, f"scaled to {weight:g}", wait=wait, timeout=timeout, form=output_format)


def blend(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the blend, new or not.")],
    members: Annotated[list[str], typer.Argument(metavar="MEMBER=WEIGHT", help="As in pirate=0.7 formal=0.5.")],
    method: Annotated[
        BlendMethod, typer.Option(help="How the members are combined.", case_sensitive=False)
    ] = BlendMethod.CONCAT,
    rank: Annotated[int | None, typer.Option(help="Rank of the result, for SVD, TIES and DARE.")] = None,
    density: Annotated[float | None, typer.Option(help="Share of values that TIES and DARE keep.")] = None,
    wait: options.Wait = False,
    timeout: options.Timeout = WAIT_SECONDS,
    dry_run: options.Try = DryRun.NONE,
    output_format: options.Output = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Serve a mixture of adapters of one model, or change one."""
    try:
        shares = changes.shares(members)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="MEMBER=WEIGHT") from error
    session = Session.of(namespace, context, kubeconfig, dry_run, server, api_key)
    blended = session.blend(name, changes.blend(shares, method, rank, density))
    finish(session, blended, "blended", wait=wait, timeout=timeout, form=output_format)


def _remove(session: Session, names: Iterable[str]) -> None:
    """Removes all of them that it can; ends with the worst of what stood against the others."""
    statuses = [0]
    for name in names:
        try:
            session.objects.delete(ADAPTERS, name)
        except Failed as failed:
            output.complain(failed)
            statuses.append(failed.exit_status)
            continue
        output.say([told(session, name, "removed")])
    if any(statuses):
        raise typer.Exit(max(statuses))
