"""What the page shows, as JSON: the command line's own cells, lines and tables, and what its sliders start from."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import isfinite

from lora_api.v1alpha1.blend import Blend
from lora_cli.domain import diagnosis, history, rooms, tables
from lora_cli.domain.objects import Adapter, Json, Model, scalings_kept
from lora_cli.domain.places import CLUSTER, Place
from lora_cli.domain.scalings import Generation, label
from lora_cli.domain.tables import Table
from lora_cli.domain.waiting import Progress, standing
from lora_cli.errors import Failed
from lora_cli.ui.moments import Moment

_NUMBERS_MOST = 1_000_000
"""Of one heat map: some megabytes."""
_DIGITS = 4
_BY_NAME = ("models", "adapters")


def state(
    models: Iterable[Model],
    adapters: Iterable[Adapter],
    moments: Mapping[str, Moment],
    trouble: Failed | None,
    now: datetime,
    place: Place = CLUSTER,
) -> Json:
    """Everything that is drawn without being asked for."""
    return {
        "models": {found.meta.name: model(found, now) for found in models},
        "adapters": {found.meta.name: adapter(found, moments.get(found.meta.name), now, place) for found in adapters},
        "trouble": None if trouble is None else failure(trouble),
    }


def difference(known: Json | None, state: Json) -> Json | None:
    """What a page has to be told that knows an earlier state; of objects only those that changed, None for those that are gone.

    None if there is nothing to tell.
    """
    if known is None:
        return state | {"whole": True}
    news: Json = {kind: _changed(known[kind], state[kind]) for kind in _BY_NAME}
    same = not any(news.values()) and known["trouble"] == state["trouble"]
    return None if same else state | news | {"whole": False}


def model(found: Model, now: datetime) -> Json:
    """One LoRAModel."""
    return {
        "name": found.meta.name,
        "version": found.meta.version,
        "cells": dict(zip(tables.MODEL_COLUMNS, tables.model_cells(found, now), strict=True)),
        "mood": tables.mood_of(found),
        "message": standing(found).message,
        "scalingsKept": scalings_kept(found),
    }


def adapter(found: Adapter, moment: Moment | None, now: datetime, place: Place = CLUSTER) -> Json:
    """One LoRAAdapter."""
    return {
        "name": found.meta.name,
        "version": found.meta.version,
        "model": found.model,
        "cells": dict(zip(tables.ADAPTER_COLUMNS, tables.adapter_cells(found, now), strict=True)),
        "mood": tables.mood_of(found),
        "message": standing(found).message,
        "weight": found.spec.weight,
        "revision": found.status.revision,
        "madeOf": diagnosis.made_of(found),
        "blend": None if found.spec.blend is None else _recipe(found.spec.blend),
        "moment": None if moment is None else _told(found, moment, place),
    }


def details(found: Adapter | Model, now: datetime, place: Place = CLUSTER) -> Json:
    """All that is to be said of one object."""
    if isinstance(found, Model):
        return {"lines": _lines(diagnosis.of_model(found, now, place)), "history": None, "returnable": []}
    return {
        "lines": _lines(diagnosis.of_adapter(found, now, place)),
        "history": table(history.history(found, now)),
        "returnable": list(history.returnable(found)),
    }


def memory(models: Iterable[Model], adapters: Sequence[Adapter]) -> list[Json]:
    """What adapters take in each pod of each model, and the room there is."""
    return [
        {
            "model": found.meta.name,
            "sentences": [said.removeprefix(f"{found.meta.name}: ") for said in rooms.room(found, of)],
            "table": table(rooms.taken(of)),
        }
        for found in models
        for of in [[adapter for adapter in adapters if adapter.model == found.meta.name]]
    ]


def table(found: Table) -> Json:
    """A table as the page draws it."""
    return {
        "columns": found.columns,
        "rows": [{"cells": row.cells, "mood": row.mood} for row in found.rows],
        "empty": found.empty,
    }


def failure(failed: Failed) -> Json:
    """Why something was not done, and what to type next."""
    return {"code": failed.code, "message": str(failed), "then": failed.then}


def heat(found: Generation, texts: Mapping[int, str]) -> Json:
    """How much of each expert each token got: the mean over the layers, and each layer unless that is too much for a page."""
    count = len(found.scalings)
    whole = count * len(found.layers) * len(found.experts) <= _NUMBERS_MOST
    return {
        "experts": found.experts,
        "tokens": [
            {"text": label(texts.get(token, "")), "prompt": place < found.prompt_tokens}
            for place, token in enumerate(found.tokens or (0,) * count)
        ],
        "mean": [_rounded(found.mean(token)) for token in range(count)],
        "layers": [
            {"name": name, "rows": [_rounded(row[place]) for row in found.scalings]}
            for place, name in enumerate(found.layers if whole else ())
        ],
    }


def ended(reason: str | None, first_seconds: float | None, seconds: float, answer_id: str | None = None) -> Json:
    """What is said below an answer."""
    words = [] if first_seconds is None else [f"first word after {_seconds(first_seconds)}"]
    words.append(f"whole after {_seconds(seconds)}")
    if reason == "length":
        words.append("cut at the longest length")
    return {"words": ", ".join(words), "id": answer_id}


def _changed(known: Mapping[str, Json], there: Mapping[str, Json]) -> Json:
    changed = {name: view for name, view in there.items() if known.get(name) != view}
    return changed | dict.fromkeys(known.keys() - there.keys())


def _lines(found: Iterable[diagnosis.Line]) -> list[Json]:
    return [{"text": line.text, "tone": line.tone} for line in found]


def _recipe(blend: Blend) -> Json:
    return {
        "method": blend.method,
        "rank": blend.rank,
        "density": blend.density,
        "members": {member.adapter_ref.name: member.weight for member in blend.members},
    }


def _told(found: Adapter, moment: Moment, place: Place) -> Json | None:
    if moment.over:
        return None
    if moment.took_seconds is not None:
        words = place.answered(moment.revision, _seconds(moment.took_seconds))
        return {"words": words, "mood": tables.Mood.GOOD}
    seen = standing(found)
    if seen.progress is Progress.REFUSED and found.meta.generation == moment.generation:
        return {"words": f"{seen.reason}: {seen.message}", "mood": tables.Mood.BAD}
    return {"words": "on its way", "mood": tables.Mood.WAITING}


def _rounded(values: Iterable[float]) -> list[float | None]:
    """As a page needs them; JSON has no infinity."""
    return [round(value, _DIGITS) if isfinite(value) else None for value in values]


def _seconds(took: float) -> str:
    """A number that stays with its unit when a line is broken."""
    return f"{took:.2f}\N{NO-BREAK SPACE}s"
