"""Which children are applied, and which of them the API server would not take."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lora_api import labels
from lora_operator.domain.actions import ApplyChild
from lora_operator.domain.observed import Snapshot

Manifest = Mapping[str, Any]


def due(snapshot: Snapshot, children: Iterable[Manifest]) -> Iterator[ApplyChild]:
    """Those that are not there, not as wanted, or not applied by this operator yet, which has not seen who edited them before."""
    for manifest in children:
        child = f"{manifest['kind']}/{manifest['metadata']['name']}"
        wanted, version = manifest["metadata"]["annotations"][labels.TEMPLATE_HASH], snapshot.versions.get(child)
        found = snapshot.applied.get(child)
        if found is None:
            yield ApplyChild(manifest, f"{child} does not exist")
        elif found != wanted:
            why = f"{child} is not as wanted: {found or 'changed by another hand'}, wanted {wanted}"
            yield ApplyChild(manifest, why, version)
        elif child in snapshot.inherited:
            yield ApplyChild(
                manifest, f"somebody may have edited {child} while no operator was there", version, again=True
            )


def refused(snapshot: Snapshot, applied: Iterable[ApplyChild]) -> str | None:
    """Why a child that is to be applied was not taken the last time, just as it is wanted now."""
    for action in applied:
        kind, metadata = action.manifest["kind"], action.manifest["metadata"]
        refusal = snapshot.refused.get(f"{kind}/{metadata['name']}")
        if refusal is not None and refusal.hash == metadata["annotations"][labels.TEMPLATE_HASH]:
            return refusal.message
    return None


def is_up_to_date(kind: str, applied: Iterable[ApplyChild]) -> bool:
    """Whether children of this kind are as wanted, for all that is known."""
    return all(action.again or action.manifest["kind"] != kind for action in applied)
