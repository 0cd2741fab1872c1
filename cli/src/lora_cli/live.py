"""`status --watch`: the tables as they are now, from what the API server tells of changes."""

import queue
import threading
from collections.abc import Iterator

from rich.console import Group
from rich.live import Live

from lora_cli import output
from lora_cli.clients import clock
from lora_cli.clients.objects import ADAPTERS, MODELS, Objects
from lora_cli.domain import tables
from lora_cli.domain.objects import Json, adapter_of, model_of
from lora_cli.errors import Failed

_REFRESH_SECONDS = 1.0
"""Ages grow although nothing happens."""

_Change = tuple[str, str, Json]
"""Plural of the kind, type of event, object."""


def follow(objects: Objects, models: Json, adapters: Json, namespace: str | None) -> None:
    """Shows each change until it is interrupted; where there is no terminal, the tables once more after each.

    Raises:
        Failed: the API server can no longer be heard.
    """
    out = output.console()
    seen = {MODELS: _by_uid(models), ADAPTERS: _by_uid(adapters)}
    drawn = _drawn(seen, everywhere=namespace is not None)
    changes = _heard(objects, {MODELS: models, ADAPTERS: adapters}, namespace)
    if not out.is_terminal:
        out.print(drawn)
        for change in changes:
            if change is not None:
                _fold(seen, change)
                out.print(_drawn(seen, everywhere=namespace is not None))
        return
    with Live(drawn, console=out, auto_refresh=False) as live:
        for change in changes:
            if change is not None:
                _fold(seen, change)
            live.update(_drawn(seen, everywhere=namespace is not None), refresh=True)


def _heard(objects: Objects, lists: dict[str, Json], namespace: str | None) -> Iterator[_Change | None]:
    """Each change; None whenever there was none for a while."""
    found: queue.Queue[_Change | Failed] = queue.Queue()
    for plural, listed in lists.items():
        threading.Thread(target=_listen, args=(objects, plural, listed, namespace, found), daemon=True).start()
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
    objects: Objects, plural: str, listed: Json, namespace: str | None, found: "queue.Queue[_Change | Failed]"
) -> None:
    try:
        while True:
            for event, stored in objects.watch(plural, listed["metadata"]["resourceVersion"], namespace=namespace):
                found.put((plural, event, stored))
            # The API server ends every watch after some minutes; what was missed is in the list.
            before, listed = listed, objects.list(plural, namespace=namespace)
            for stored in listed["items"]:
                found.put((plural, "MODIFIED", stored))
            kept = _by_uid(listed)
            for uid, stored in _by_uid(before).items():
                if uid not in kept:
                    found.put((plural, "DELETED", stored))
    except Failed as failed:
        found.put(failed)


def _by_uid(listed: Json) -> dict[str, Json]:
    return {stored["metadata"]["uid"]: stored for stored in listed["items"]}


def _fold(seen: dict[str, dict[str, Json]], change: _Change) -> None:
    plural, event, stored = change
    uid = stored["metadata"]["uid"]
    if event == "DELETED":
        seen[plural].pop(uid, None)
    else:
        seen[plural][uid] = stored


def _drawn(seen: dict[str, dict[str, Json]], *, everywhere: bool) -> Group:
    now = clock.now()
    models = tables.models(map(model_of, seen[MODELS].values()), now, everywhere=everywhere)
    adapters = tables.adapters(map(adapter_of, seen[ADAPTERS].values()), now, everywhere=everywhere)
    return Group(output.rendered(models), "", output.rendered(adapters))
