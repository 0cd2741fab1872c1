"""What is to be said of one object, line by line: how it stands, why, and what to type next."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lora_api.v1alpha1.blend import Blend
from lora_cli.domain.objects import Adapter, Meta, Model
from lora_cli.domain.places import CLUSTER, Place
from lora_cli.domain.sizes import age, number, size
from lora_cli.domain.subject import Subject
from lora_cli.domain.waiting import Progress, Standing, standing


class Tone(StrEnum):
    """How a line should look."""

    TITLE = "title"
    GOOD = "good"
    BAD = "bad"
    WAITING = "waiting"
    PLAIN = "plain"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Line:
    """One line for a person."""

    text: str
    tone: Tone = Tone.PLAIN


_TONES = {Progress.DONE: Tone.GOOD, Progress.REFUSED: Tone.BAD}


def of_adapter(adapter: Adapter, now: datetime, place: Place = CLUSTER) -> Iterator[Line]:
    """All that is to be said of a LoRAAdapter."""
    meta, status, seen = adapter.meta, adapter.status, standing(adapter)
    named = "" if adapter.served_name == meta.name else f", served as {adapter.served_name}"
    yield Line(f"{meta.name}: LoRAAdapter of {adapter.model}{_where(meta)}{named}", Tone.TITLE)
    yield from _standing(adapter, seen, place)
    pods = status.pods
    if status.revision is not None and seen.progress is not Progress.DONE:
        yield Line(f"clients get revision {status.revision} meanwhile, from {pods.available} of {pods.desired} pods")
    for failed in status.failures:
        yield Line(f"pod {failed.pod}: {failed.reason}: {failed.message}", Tone.BAD)
    yield Line("")
    yield Line(f"made of   {made_of(adapter)}")
    yield Line(f"weight    {number(adapter.spec.weight)}")
    if status.revision is not None:
        yield Line(f"revision  {status.revision}, on {pods.available} of {pods.desired} pods")
    if status.digest is not None:
        yield Line(f"digest    {status.digest}")
    if status.rank is not None:
        yield Line(f"rank      {status.rank}, {size(status.size_bytes)}")
    yield Line(f"age       {age(meta.created, now)}")
    yield from _conditions(adapter)


def of_model(model: Model, now: datetime, place: Place = CLUSTER) -> Iterator[Line]:
    """All that is to be said of a LoRAModel."""
    meta, status = model.meta, model.status
    yield Line(f"{meta.name}: LoRAModel{_where(meta)}", Tone.TITLE)
    yield from _standing(model, standing(model), place)
    yield Line("")
    yield Line(f"source    {model.spec.source.describe()}")
    yield Line(f"pods      {status.ready_replicas} ready of {model.spec.replicas} wanted")
    yield Line(f"adapters  {status.ready_adapters} ready of {status.adapters} declared")
    if status.capacity is not None:
        yield Line(f"room      {status.capacity.slots} slots, {status.capacity.max_cached} in host memory, in each pod")
    if status.url:
        yield Line(f"url       {status.url} (inside the cluster)")
    yield Line(f"age       {age(meta.created, now)}")
    yield from _conditions(model)


def made_of(adapter: Adapter) -> str:
    """Its source or its members, in one line."""
    if adapter.spec.blend is not None:
        return mixture(adapter.spec.blend)
    source = adapter.status.resolved_source or adapter.spec.source
    return "-" if source is None else source.describe()


def mixture(blend: Blend) -> str:
    """The members of a blend and their weights, as `kubectl lora blend` takes them."""
    members = " ".join(f"{member.adapter_ref.name}={number(member.weight)}" for member in blend.members)
    return f"{members} ({blend.method})"


def _where(meta: Meta) -> str:
    return f" in {meta.namespace}" if meta.namespace else ""


def _standing(observed: Adapter | Model, seen: Standing, place: Place) -> Iterator[Line]:
    tone = _TONES.get(seen.progress, Tone.WAITING)
    if seen.progress is Progress.DONE:
        yield Line(f"ready: {seen.message}", tone)
        return
    yield Line(f"not ready: {seen.reason}: {seen.message}", tone)
    reason = None if seen.progress is Progress.UNSEEN else seen.reason
    meaning, command = place.advice(reason, Subject.of(observed, seen.message))
    if meaning:
        yield Line(meaning)
    yield Line(command, Tone.COMMAND)


def _conditions(observed: Adapter | Model) -> Iterator[Line]:
    if observed.status.conditions:
        yield Line("")
    for found in observed.status.conditions:
        yield Line(f"{found.type:<11} {found.status:<8} {found.reason}")
