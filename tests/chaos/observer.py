"""Looks at every pod, many times a second, and hands each look to the checker."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from chaos.checker import Checker
from chaos.excuses import API_SERVER, OPERATOR
from chaos.looks import Looks
from chaos.sightings import Moment, SeenPod, Status, Wanted
from chaos.watching import Object, is_ready, status_of
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
    """What was seen last of all pods; as old as the oldest look in it."""
    looks: Looks = field(default_factory=Looks)
    confirmed: set[str] = field(default_factory=set)
    """UIDs of adapters that were Ready since the model was made."""
    reasons: Counter[str] = field(default_factory=Counter)
    """How often a status began to give which reason for not being Ready."""
    _given: dict[str, str] = field(default_factory=dict)
    """By UID: the reason that was given last."""
    _seen: dict[str, tuple[float, SeenPod]] = field(default_factory=dict)
    """By name: the last look at each pod, and when it began."""
    _watched: set[str] = field(default_factory=set)
    _closed: bool = False

    async def run(self) -> None:
        """Until it is closed. Each pod has a loop of its own: nobody waits for one that keeps silent."""
        async with asyncio.TaskGroup() as loops:
            while not self._closed:
                for name in dict(self.world.pods.objects).keys() - self._watched:
                    self._watched.add(name)
                    loops.create_task(self._watch(name))
                self._sum_up()
                await asyncio.sleep(_EVERY_SECONDS)

    def close(self) -> None:
        """Ends it after the looks that are under way."""
        self._closed = True

    async def _watch(self, name: str) -> None:
        while not self._closed and (stored := self.world.pods.objects.get(name)) is not None:
            began = time.monotonic()
            await self._look(name, stored)
            await asyncio.sleep(max(0.01, _EVERY_SECONDS - (time.monotonic() - began)))
        self._watched.discard(name)
        self._seen.pop(name, None)

    async def _look(self, name: str, stored: Object) -> None:
        world = self.world
        # Before the pod is asked: what it says later can only be newer.
        now = time.monotonic()
        statuses, before = self._statuses(), world.users.wanted()
        answer = await world.served(name)
        # What is being written just now is not judged this time; the rest may be served what is wanted by now.
        after = world.users.wanted()
        wanted = {
            each.name: replace(each, ever=after[each.name].ever)
            for each in before.values()
            if each.name in after and _same(each, after[each.name])
        }
        pod = SeenPod(name, is_ready(stored), connected=not world.excuses.holds(name, now))
        if answer is not None and "deletionTimestamp" not in stored["metadata"]:
            pod = replace(pod, boot=answer.boot, served=answer.served, failing=answer.failing, silent=answer.silent)
        self._seen[name] = now, pod
        self.looks.see(now, pod)
        told = len(self.checker.verdicts)
        self.checker.see(Moment(now, wanted, statuses, (pod,), self._is_operating(now)))
        for verdict in self.checker.verdicts[told:]:
            self.tell(f"{verdict.what}: {verdict.words}")

    def _sum_up(self) -> None:
        now = time.monotonic()
        statuses, wanted = self._statuses(), self.world.users.wanted()
        pods = dict(self.world.pods.objects)
        seen = [self._seen.get(name) or (now, SeenPod(name, is_ready(stored))) for name, stored in pods.items()]
        at = min((at for at, _ in seen), default=now)
        self.moment = Moment(at, wanted, statuses, [pod for _, pod in seen], self._is_operating(now))
        self.confirmed |= {each.uid for each in wanted.values() if each.is_claimed(statuses.get(each.name))}
        for status in statuses.values():
            reason = "" if status.ready else status.reason
            if reason and reason != self._given.get(status.uid):
                self.reasons[reason] += 1
            self._given[status.uid] = reason

    def _is_operating(self, now: float) -> bool:
        """Whether the operator has run, and has had its connection, since then."""
        world, excuses = self.world, self.world.excuses
        away = excuses.holds(OPERATOR, now) or excuses.holds(API_SERVER, now)
        return world.pods.synced and world.adapters.synced and not away

    def _statuses(self) -> Mapping[str, Status]:
        return {name: status_of(stored) for name, stored in dict(self.world.adapters.objects).items()}


def _same(before: Wanted, after: Wanted) -> bool:
    return (before.uid, before.generation, before.content) == (after.uid, after.generation, after.content)
