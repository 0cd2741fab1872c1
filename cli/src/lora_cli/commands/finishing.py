"""What every change ends with: wait if that is wanted, then say what there is now."""

from lora_cli import options, output
from lora_cli.clients.objects import ADAPTERS
from lora_cli.domain.objects import Json
from lora_cli.session import Session

WAIT_SECONDS = 600.0


def finish(
    session: Session, changed: Json, done: str, *, wait: bool, timeout: float, form: options.DataFormat | None
) -> None:
    """What every change ends with: wait if that is wanted, then say what there is now."""
    name = changed["metadata"]["name"]
    ready = None
    if wait and not session.dry_run:
        ready = session.wait(changed, timeout, lambda seen: output.note(f"{name}: {seen.reason}: {seen.message}"))
    if form is not None:
        output.dump(changed if ready is None else session.objects.get(ADAPTERS, name), form)
        return
    pods = f" by {ready.status.summary.loaded} pods" if ready is not None and session.server is None else ""
    served = "" if ready is None else f"; revision {ready.status.revision} is served{pods}"
    output.say([told(session, name, done) + served])
    if session.remark and not session.dry_run:
        output.note(session.remark)


def told(session: Session, name: str, done: str) -> str:
    """What was done to an adapter, in the words of kubectl."""
    return f"loraadapter {name} {done}" + (" (server dry run)" if session.dry_run else "")
