"""`status --watch`: the tables as they are now, from what the API server tells of changes."""

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import nullcontext

from rich.console import Group
from rich.live import Live

from lora_cli import output
from lora_cli.clients import clock
from lora_cli.clients.object_store import ObjectStore
from lora_cli.clients.objects import ADAPTERS, MODELS
from lora_cli.domain import tables
from lora_cli.domain.objects import Json, adapter_of, model_of
from lora_cli.domain.seen import Seen, after, listed
from lora_cli.errors import Failed

_REFRESH_SECONDS = 1.0
"""Ages grow although nothing happens."""

_Change = tuple[str, str, Json]
"""Plural of the kind, type of event, object."""


def follow(objects: ObjectStore, models: Json, adapters: Json, namespace: str | None, where: str) -> None:
    """Shows each change until it is interrupted; where there is no terminal, the tables once more after each.

    Raises:
        Failed: the API server can no longer be heard.
    """
    out, everywhere = output.console(), namespace is not None
    seen = {MODELS: listed(models["items"]), ADAPTERS: listed(adapters["items"])}
    drawn = _drawn(seen, where, everywhere=everywhere)
    if not out.is_terminal:
        out.print(drawn)
    with Live(drawn, console=out, auto_refresh=False) if out.is_terminal else nullcontext() as live:
        for change in _heard(objects, {MODELS: models, ADAPTERS: adapters}, namespace):
            if change is not None:
                plural, event, stored = change
                seen[plural] = after(seen[plural], event, stored)
            drawn = _drawn(seen, where, everywhere=everywhere)
            if live is not None:
                live.update(drawn, refresh=True)
            elif change is not None:
                out.print(drawn)


def _heard(objects: ObjectStore, lists: dict[str, Json], namespace: str | None) -> Iterator[_Change | None]:
    """Each change; None whenever there was none for a while."""
    found: queue.Queue[_Change | Failed] = queue.Queue()
    for plural, first in lists.items():
        threading.Thread(target=_listen, args=(objects, plural, first, namespace, found), daemon=True).start()
    while True:
        try:
            heard = found.get(timeout=_REFRESH_SECONDS)
        except queue.Empty:
            yield None
            continue
        if isinstance(heard, Failed):
            raise heard
        yield heard


def _listen(
    objects: ObjectStore, plural: str, last: Json, namespace: str | None, found: "queue.Queue[_Change | Failed]"
) -> None:
    try:
        for event, stored in objects.follow(plural, last, namespace=namespace):
            found.put((plural, event, stored))
    except Failed as failed:
        found.put(failed)


def _drawn(seen: Mapping[str, Seen], where: str, *, everywhere: bool) -> Group:
    now = clock.now()
    models = tables.models(map(model_of, seen[MODELS].values()), now, where, everywhere=everywhere)
    adapters = tables.adapters(map(adapter_of, seen[ADAPTERS].values()), now, where, everywhere=everywhere)
    return Group(output.rendered(models), "", output.rendered(adapters))
