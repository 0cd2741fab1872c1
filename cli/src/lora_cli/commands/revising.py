"""`history` and `rollback`: what was served, and back to it."""

from typing import Annotated

import typer

from lora_cli import options, output
from lora_cli.clients import clock
from lora_cli.clients.objects import ADAPTERS
from lora_cli.commands.finishing import WAIT_SECONDS, finish
from lora_cli.domain import history as revisions
from lora_cli.domain.objects import adapter_of
from lora_cli.options import DryRun
from lora_cli.session import Session


def history(
    name: options.AdapterName,
    output_format: options.Output = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """List the last ten revisions of an adapter, newest first."""
    session = Session.of(namespace, context, kubeconfig, server=server, api_key=api_key)
    adapter = session.adapter(name)
    if output_format is not None:
        output.dump(
            [entry.model_dump(mode="json", by_alias=True, exclude_none=True) for entry in adapter.status.history],
            output_format,
        )
    else:
        output.show(revisions.history(adapter, clock.now()))


def rollback(
    name: options.AdapterName,
    to: Annotated[
        str | None, typer.Option(metavar="REV", help="The revision, or how it begins; else the one before.")
    ] = None,
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
    """Make an adapter what it was: same files, weight and precision, or same members."""
    session = Session.of(namespace, context, kubeconfig, dry_run, server, api_key)
    adapter = session.adapter(name)
    entry = revisions.chosen(adapter, to, session.place)
    changed = session.objects.patch(ADAPTERS, name, revisions.steps_back(adapter, entry))
    finish(session, changed, f"rolled back to {entry.revision}", wait=wait, timeout=timeout, form=output_format)
    for remark in revisions.remarks(adapter_of(changed), entry):
        output.note(remark)
