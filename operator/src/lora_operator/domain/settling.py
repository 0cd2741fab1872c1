"""A change that every pod serves within a moment is told once, when it has arrived, and not at each step on its way."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.conditions import AdapterCondition
from lora_operator.domain import conditions
from lora_operator.domain.observed import ObservedAdapter

_MOMENT = timedelta(seconds=0.3)
"""Shorter than a person looks, and longer than pods take that have the files at hand."""


def held_until(
    adapter: ObservedAdapter, new: LoRAAdapterStatus, changing: Mapping[str, datetime], now: datetime
) -> datetime | None:
    """Until when a new status waits for a better one; None when it is to be stored now.

    `changing` is since when a generation is known that is not served everywhere yet, by the adapter's UID.
    """
    since = changing.get(adapter.meta.uid)
    if since is None or conditions.is_true(new.conditions, AdapterCondition.READY):
        return None
    until = since + _MOMENT
    # A clock that went back must not hold anything for longer.
    return until if since <= now < until else None
