"""The revisions that an adapter had, and how to go back to one."""

from collections.abc import Iterator
from datetime import datetime

from lora_api.error_codes import ErrorCode
from lora_api.v1alpha1.adapter import AdapterSource, HistoryEntry
from lora_api.v1alpha1.conditions import AdapterCondition
from lora_cli.domain import changes
from lora_cli.domain.diagnosis import mixture
from lora_cli.domain.objects import Adapter, Json, condition, is_seen
from lora_cli.domain.places import CLUSTER, Place
from lora_cli.domain.sizes import age, number
from lora_cli.domain.tables import Mood, Row, Table
from lora_cli.errors import Failed

COLUMNS = ("REVISION", "WANTED", "NOW", "WEIGHT", "MADE OF", "DIGEST")
_SHORT_DIGEST = len("sha256:") + 12


def history(adapter: Adapter, now: datetime) -> Table:
    """A line for each revision, newest first."""
    rows = tuple(
        Row(
            (
                entry.revision,
                f"{age(datetime.fromisoformat(entry.time), now)} ago",
                "served" if is_served else "",
                "-" if entry.weight is None else number(entry.weight),
                _made_of(entry),
                "-" if entry.digest is None else entry.digest[:_SHORT_DIGEST],
            ),
            Mood.GOOD if is_served else Mood.PLAIN,
        )
        for entry, is_served in _marked(adapter)
    )
    return Table(COLUMNS, rows, "no revision of it was ever wanted")


def chosen(adapter: Adapter, revision: str | None, place: Place = CLUSTER) -> HistoryEntry:
    """The entry to go back to: the one that is named, or else the newest that is not what the spec wants now.

    Args:
        adapter: Whose.
        revision: It, or how it begins.
        place: Where the adapter is.

    Raises:
        Failed: there is none, or more than one, or it was written by an operator that did not keep enough.
    """
    name, entries = adapter.meta.name, adapter.status.history
    see = place.typed(f"history {name}", adapter.meta.namespace)
    others = entries[1:] if _wants_the_newest(adapter) else entries
    found = others if revision is None else _beginning(revision, entries, name, see)
    if not found:
        what = "an earlier revision" if revision is None else f"a revision that is {revision} or begins so"
        raise Failed(ErrorCode.NOT_FOUND, f"{name} has not had {what}", then=see)
    entry = found[0]
    if entry.source is None and entry.blend is None:
        raise Failed(
            ErrorCode.NOT_FOUND,
            f"revision {entry.revision} is from an operator that did not keep what it was made of; apply what was there before",
            then=see,
        )
    return entry


def _beginning(revision: str, entries: tuple[HistoryEntry, ...], name: str, see: str) -> tuple[HistoryEntry, ...]:
    """Those of the one revision that begins so, newest first."""
    if not revision:
        raise Failed(ErrorCode.INVALID, "an empty word names no revision; write --to REV, or leave it out", then=see)
    names = dict.fromkeys(entry.revision for entry in entries if entry.revision.startswith(revision))
    if len(names) > 1 and revision not in names:
        raise Failed(
            ErrorCode.INVALID, f"{len(names)} revisions of {name} begin with {revision}: {', '.join(names)}", then=see
        )
    wanted = revision if revision in names else next(iter(names), None)
    return tuple(entry for entry in entries if entry.revision == wanted)


def returnable(adapter: Adapter) -> tuple[bool, ...]:
    """Of each entry, whether there is something to go back to: it was kept, and is not what the spec wants now."""
    entries = adapter.status.history
    wanted = entries[0].revision if entries and _wants_the_newest(adapter) else None
    return tuple(entry.revision != wanted and not (entry.source is None and entry.blend is None) for entry in entries)


def steps_back(adapter: Adapter, entry: HistoryEntry) -> list[Json]:
    """A JSON patch that makes the spec want what it wanted then; fails if the spec was changed meanwhile."""
    blend = entry.blend
    wanted: Json = {
        "source": None if entry.source is None else changes.written(entry.source),
        "blend": None if blend is None else changes.without_nulls(blend.model_dump(mode="json", by_alias=True)),
        "digest": _pin(adapter, entry),
    }
    kept = {"weight": entry.weight, "precision": None if entry.precision is None else entry.precision.value}
    return changes.steps(adapter, wanted | changes.without_nulls(kept))


def remarks(adapter: Adapter, entry: HistoryEntry) -> Iterator[str]:
    """What somebody who went back should know.

    `adapter` is the object as it is afterwards.
    """
    if entry.blend is not None:
        yield "its members are as they are now: roll them back, too, if they have changed since"
    if adapter.spec.digest is not None:
        yield "spec.digest pins the files of that revision: change it together with spec.source when you go on"


def _pin(adapter: Adapter, entry: HistoryEntry) -> str | None:
    """The digest to insist on: where the place itself does not say which bytes, or where one was insisted on."""
    if entry.source is None or entry.digest is None:
        return None
    return entry.digest if adapter.spec.digest is not None or not _names_bytes(entry.source) else None


def _names_bytes(source: AdapterSource) -> bool:
    """Whether a pinned source can mean no other files: a commit, a manifest's digest, ETags."""
    etagged = source.s3 or source.gcs or source.http
    return (
        source.hugging_face is not None or source.oci is not None or (etagged is not None and etagged.etags is not None)
    )


def _wants_the_newest(adapter: Adapter) -> bool:
    """Whether the spec came to a revision, which is then the newest; a wish that was refused did not."""
    compatible = condition(adapter, AdapterCondition.COMPATIBLE)
    return is_seen(adapter) and compatible is not None and compatible.status == "True"


def _marked(adapter: Adapter) -> Iterator[tuple[HistoryEntry, bool]]:
    """Each entry, and whether it is the one that is served: the newest of its revision."""
    served = adapter.status.revision
    for entry in adapter.status.history:
        yield entry, entry.revision == served
        if entry.revision == served:
            served = None


def _made_of(entry: HistoryEntry) -> str:
    if entry.blend is not None:
        return mixture(entry.blend)
    return "not kept" if entry.source is None else entry.source.describe()
