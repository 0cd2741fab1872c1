"""The revisions that an adapter had. Pure."""

from lora_api.recipes.outcome import Blocked, Outcome, Wanted
from lora_api.runtime_api import AdapterFacts
from lora_api.v1alpha1.adapter import HistoryEntry, LoRAAdapterSpec

LONGEST = 10
"""Entries of one adapter."""


def after(
    before: tuple[HistoryEntry, ...],
    spec: LoRAAdapterSpec,
    outcome: Outcome,
    known: AdapterFacts | Blocked | None,
    now: str,
) -> tuple[HistoryEntry, ...]:
    """The history, newest first, once a wish has come to something; a wish that is refused leaves no trace.

    `known` are the facts of its own source; None for a blend. `now` is as in RFC 3339.
    """
    if not isinstance(outcome, Wanted) or (before and before[0].revision == outcome.spec.revision):
        return before
    found = known if isinstance(known, AdapterFacts) else None
    newest = HistoryEntry(
        revision=outcome.spec.revision,
        digest=None if found is None else found.digest,
        time=now,
        source=None if found is None else found.source,
        blend=spec.blend,
        weight=spec.weight,
        precision=spec.precision,
    )
    return (newest, *before)[:LONGEST]
