"""Looks at everything, many times a second, and hands each moment to the checker."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from chaos.checker import Checker
from chaos.excuses import API_SERVER, OPERATOR
from chaos.sightings import Moment, SeenPod, Status, Wanted
from chaos.watching import is_ready, status_of
from chaos.world import World

_EVERY_SECONDS = 0.1

Tell = Callable[[str], None]


@dataclass(slots=True)
class Observer:
    """Independent of the operator: asks pods what they answer, and the API server what it says."""

    world: World
    checker: Checker
    tell: Tell
    moment: Moment | None = None
    """The last one."""
    confirmed: set[str] = field(default_factory=set)
    """UIDs of adapters that were Ready since the model was made."""
    reasons: Counter[str] = field(default_factory=Counter)
    """How often a status began to give which reason for not being Ready."""
    _given: dict[str, str] = field(default_factory=dict)
    """By UID: the reason that was given last."""
    _closed: bool = False

    async def run(self) -> None:
        """Until it is closed."""
        while not self._closed:
            began = time.monotonic()
            moment = await self._look()
            told = len(self.checker.verdicts)
            self.checker.see(moment)
            for verdict in self.checker.verdicts[told:]:
                self.tell(f"{verdict.what}: {verdict.words}")
            for wanted in moment.adapters.values():
                if wanted.is_claimed(moment.statuses.get(wanted.name)):
                    self.confirmed.add(wanted.uid)
            self._note(moment.statuses.values())
            self.moment = moment
            await asyncio.sleep(max(0.01, _EVERY_SECONDS - (time.monotonic() - began)))

    def _note(self, statuses: Iterable[Status]) -> None:
        for status in statuses:
            reason = "" if status.ready else status.reason
            if reason and reason != self._given.get(status.uid):
                self.reasons[reason] += 1
            self._given[status.uid] = reason

    def close(self) -> None:
        """Ends it after the moment that it is looking at."""
        self._closed = True

    async def _look(self) -> Moment:
        world = self.world
        # Before the pods are asked: what they say later can only be newer.
        now = time.monotonic()
        statuses = self._statuses()
        before = world.users.wanted()
        pods = dict(world.pods.objects)
        answers = await asyncio.gather(*(world.served(name) for name in pods))
        # What is being written just now is not judged this time; the rest may be served what is wanted by now.
        after = world.users.wanted()
        wanted = {
            name: replace(each, ever=after[name].ever)
            for name, each in before.items()
            if name in after and _same(each, after[name])
        }
        excuses = world.excuses
        seen = []
        for (name, stored), answer in zip(pods.items(), answers, strict=True):
            leaving = "deletionTimestamp" in stored["metadata"]
            connected = not excuses.holds(name, now)
            if answer is None or leaving:
                seen.append(SeenPod(name, is_ready(stored), connected=connected))
            else:
                told = answer.boot, answer.served, answer.failing
                seen.append(SeenPod(name, is_ready(stored), *told, connected=connected))
        synced = world.pods.synced and world.adapters.synced
        away = excuses.holds(OPERATOR, now) or excuses.holds(API_SERVER, now)
        return Moment(now, wanted, statuses, tuple(seen), synced and not away)

    def _statuses(self) -> Mapping[str, Status]:
        return {name: status_of(stored) for name, stored in dict(self.world.adapters.objects).items()}


def _same(before: Wanted, after: Wanted) -> bool:
    return (before.uid, before.generation, before.content) == (after.uid, after.generation, after.content)
