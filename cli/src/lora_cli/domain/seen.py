"""Objects of one kind as a watch tells them: by UID, from one event to the next."""

from collections.abc import Iterable, Mapping

from lora_cli.domain.objects import Json

LISTED = "LISTED"
"""Type of an event that has a whole list: what is not in it is no more."""

Seen = Mapping[str, Json]


def listed(items: Iterable[Json]) -> Seen:
    """What a list says."""
    return {stored["metadata"]["uid"]: stored for stored in items}


def after(seen: Seen, event: str, stored: Json) -> Seen:
    """What there is after an event."""
    if event == LISTED:
        return listed(stored["items"])
    uid = stored["metadata"]["uid"]
    others = {other: value for other, value in seen.items() if other != uid}
    return others if event == "DELETED" else others | {uid: stored}
