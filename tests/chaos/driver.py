"""Carries a plan out, step by step, and waits at the quiet points until everything is as it should be."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.model import ModelUser
from chaos.observer import Observer
from chaos.rest import complaints
from chaos.sightings import Status
from chaos.steps import WRITES, Kind, Step
from chaos.watching import status_of
from chaos.world import World

_LOOK_SECONDS = 0.1

Tell = Callable[[str], None]


class NeverQuiet(Exception):
    """Something did not come to what it should be; the message says what."""


@dataclass(slots=True)
class Driver:
    """The hand that does it all."""

    world: World
    model: ModelUser
    observer: Observer
    journal: Path
    """Every step with its time, a JSON object a line: what happened, although the seed says what should."""
    patience_seconds: float
    tell: Tell
    done: Counter[Kind] = field(default_factory=Counter)
    kills: int = 0
    """How many steps killed something: now and then one finds nothing to kill."""
    rests: list[float] = field(default_factory=list)
    """How many seconds each quiet point took to come."""

    def run(self, steps: Iterable[Step]) -> None:
        """All of them, in a model that it makes.

        Raises:
            NeverQuiet: at the first quiet point that does not come.
        """
        self.model.create()
        self._come_to_rest(0)
        began = time.monotonic()
        with self.journal.open("a", encoding="utf-8") as journal:
            for number, step in enumerate(steps, start=1):
                line = {"step": number, "at": round(time.monotonic() - began, 2), "what": step.describe()}
                journal.write(json.dumps(line) + "\n")
                journal.flush()
                self._do(step)
                self.done[step.kind] += 1
                time.sleep(step.pause_seconds)
                if step.quiet:
                    self._come_to_rest(number)

    def _do(self, step: Step) -> None:
        users = self.world.users
        if step.kind is Kind.RECREATE:
            assert step.wish is not None, "it is created again"
            users.recreate(step.name, step.wish)
        elif step.kind in WRITES:
            assert step.wish is not None, "it is written"
            users.apply(step.name, step.wish)
        elif step.kind is Kind.DELETE:
            users.delete(step.name)
        else:
            self.kills += self.world.harm(step)
            if step.kind is Kind.RECREATE_MODEL:
                # Another model has no revisions to fall back to.
                self.observer.confirmed.clear()

    def _come_to_rest(self, number: int) -> None:
        began = time.monotonic()
        self.world.heal()
        said = ["nothing was seen yet"]
        while said:
            if time.monotonic() - began > self.patience_seconds:
                raise NeverQuiet(f"after step {number}: " + "; ".join(said))
            time.sleep(_LOOK_SECONDS)
            said = self._complaints(began)
        self.rests.append(time.monotonic() - began)
        self.model.remember_document()
        self.tell(f"{number} steps, {self.kills} kills; at rest after {self.rests[-1]:.1f} s")

    def _complaints(self, since: float) -> list[str]:
        moment = self.observer.moment
        if moment is None or moment.at < since:
            return ["nothing was seen yet"]
        missing = self.world.users.wishes.keys() ^ moment.adapters.keys()
        if missing or not moment.operating:
            return [f"the operator or its API server is not back yet {sorted(missing)}"]
        stored: Any = self.world.models.objects.get(self.model.name)
        model = Status("") if stored is None else status_of(stored)
        if model.uid != self.model.uid:
            return ["the model is not there yet"]
        return complaints(moment, self.model.replicas, model, self.observer.confirmed)
