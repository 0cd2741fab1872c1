"""Rows of what a namespace holds."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lora_cli.domain.objects import Adapter, Model, condition, is_seen
from lora_cli.domain.sizes import age, number
from lora_cli.domain.waiting import Progress, standing


class Mood(StrEnum):
    """How a row should look to somebody who glances at it."""

    GOOD = "good"
    WAITING = "waiting"
    BAD = "bad"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one line."""

    cells: tuple[str, ...]
    mood: Mood = Mood.PLAIN


@dataclass(frozen=True, slots=True)
class Table:
    """A heading for each column, and the lines."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    empty: str = ""
    """What to say instead of no rows."""


MODEL_COLUMNS = ("MODEL", "SOURCE", "PODS", "ADAPTERS", "READY", "REASON", "AGE")
ADAPTER_COLUMNS = ("ADAPTER", "MODEL", "WEIGHT", "REVISION", "LOADED", "READY", "REASON", "AGE")


def models(found: Iterable[Model], now: datetime, where: str, *, everywhere: bool = False) -> Table:
    """A line for each LoRAModel; `everywhere` says in which namespace, too. `where` was looked, if there is none."""
    rows = tuple(
        Row(_placed(model, model_cells(model, now), everywhere=everywhere), mood_of(model))
        for model in sorted(found, key=lambda model: (model.meta.namespace, model.meta.name))
    )
    return Table(_columns(MODEL_COLUMNS, everywhere=everywhere), rows, f"no LoRAModels {where}")


def adapters(found: Iterable[Adapter], now: datetime, where: str, *, everywhere: bool = False) -> Table:
    """A line for each LoRAAdapter, by model."""
    rows = tuple(
        Row(_placed(adapter, adapter_cells(adapter, now), everywhere=everywhere), mood_of(adapter))
        for adapter in sorted(found, key=lambda one: (one.meta.namespace, one.model, one.meta.name))
    )
    return Table(_columns(ADAPTER_COLUMNS, everywhere=everywhere), rows, f"no LoRAAdapters {where}")


def model_cells(model: Model, now: datetime) -> tuple[str, ...]:
    """What MODEL_COLUMNS says of one."""
    summary = model.status.summary
    ready, reason = _readiness(model)
    return (
        model.meta.name, summary.source or model.spec.source.describe(), summary.replicas, summary.adapters,
        ready, reason, age(model.meta.created, now),
    )  # fmt: skip


def adapter_cells(adapter: Adapter, now: datetime) -> tuple[str, ...]:
    """What ADAPTER_COLUMNS says of one."""
    ready, reason = _readiness(adapter)
    return (
        adapter.meta.name, adapter.model, number(adapter.spec.weight), adapter.status.revision or "-",
        adapter.status.summary.loaded, ready, reason, age(adapter.meta.created, now),
    )  # fmt: skip


def mood_of(observed: Adapter | Model) -> Mood:
    """Good when it is ready, bad when somebody has to do something."""
    match standing(observed).progress:
        case Progress.DONE:
            return Mood.GOOD
        case Progress.REFUSED:
            return Mood.BAD
        case _:
            return Mood.WAITING


def _readiness(observed: Adapter | Model) -> tuple[str, str]:
    ready = condition(observed, "Ready")
    if ready is None:
        return "-", "not seen yet"
    return ready.status, ready.reason if is_seen(observed) else f"{ready.reason} (edit not seen yet)"


def _columns(columns: tuple[str, ...], *, everywhere: bool) -> tuple[str, ...]:
    return ("NAMESPACE", *columns) if everywhere else columns


def _placed(observed: Adapter | Model, cells: tuple[str, ...], *, everywhere: bool) -> tuple[str, ...]:
    return (observed.meta.namespace, *cells) if everywhere else cells
