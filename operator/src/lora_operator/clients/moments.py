"""Moments in the words of the API server."""

from datetime import UTC, datetime


def micro_time(moment: datetime) -> str:
    """A moment as Leases and Events have it, a MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
