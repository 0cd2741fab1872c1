"""Adapters that requests compose: made once, reused, and given up when others need their place. For one event loop.

A composition is an adapter like any other, with a loop of its own; only nobody declared it, and clients do not see its name.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from lora_api.runtime_api import DesiredAdapter, RevisionReport, RevisionSpec, RevisionState
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.model import Composition
from lora_runtime.adapter_loop import AdapterLoop, EngineTurn, Maker
from lora_runtime.composing import NotComposed, Problem, Wish, hidden_name, recipe_of
from lora_runtime.observer import Composed, Observer

_WAIT_SECONDS = 30.0
"""A request waits so long for its composition to be made."""
_MINUTE_SECONDS = 60.0
_LEAVING = 2
"""Times maxKept may be there in all: those that were given up stay in the engine until their last request has ended."""


@dataclass(slots=True, eq=False)
class _Kept:
    loop: AdapterLoop
    recipe: Callable[[], RevisionSpec]
    """What was asked for, of what is served now."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    """Requests that wait for it to be served."""


class Compositions:
    """Those of one pod."""

    def __init__(
        self,
        limits: Composition | None,
        workshop: Maker,
        turn: EngineTurn,
        clock: Callable[[], float],
        observer: Observer,
        served: Callable[[str], RevisionSpec | None],
        spawn: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        """Takes what loops need, and how much clients may have.

        Args:
            limits: None: nothing.
            workshop: see AdapterLoop.
            turn: see AdapterLoop.
            clock: monotonic time in seconds.
            observer: told what becomes of each request.
            served: the recipe of what answers for a name now.
            spawn: runs a loop to its end.
        """
        self._limits = limits
        self._workshop, self._turn, self._clock, self._observer = workshop, turn, clock, observer
        self._served, self._spawn = served, spawn
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        """By hidden name, the one asked for last at the end; with those that are on their way out."""
        self._made: deque[float] = deque()
        """When the last new ones were begun."""

    @property
    def specs(self) -> tuple[RevisionSpec, ...]:
        """Every recipe whose files must stay."""
        loops = [kept.loop for kept in self._kept.values()]
        wanted = [loop.wanted.serve for loop in loops if loop.wanted is not None and loop.wanted.serve is not None]
        return (*wanted, *(spec for loop in loops for spec in loop.specs))

    def review(self) -> None:
        """Gives up what is not what its request would get now, since a member serves something else, or nothing."""
        for kept in self._kept.values():
            wanted = kept.loop.wanted
            if wanted is None or wanted.serve is None:
                continue
            try:
                stale = kept.recipe() != wanted.serve
            except NotComposed:
                stale = True
            if stale:
                _drop(kept)

    async def serve(self, model: str, wish: Wish) -> str:
        """The hidden name of what a request asks for, once it is served.

        Raises:
            NotComposed: it cannot be had.
        """
        try:
            name, outcome = await self._serve(model, wish)
        except NotComposed as error:
            limited = error.problem in (Problem.QUOTA, Problem.NOT_NOW)
            self._observer.composed(Composed.LIMITED if limited else Composed.REFUSED, self._count)
            raise
        self._observer.composed(outcome, self._count)
        return name

    async def _serve(self, model: str, wish: Wish) -> tuple[str, Composed]:
        if self._limits is None:
            raise NotComposed(
                Problem.OFF,
                "requests may not compose adapters: set spec.adapters.composition of the LoRAModel; without a cluster, start "
                "lora-runtime serve with --allow-composition",
            )
        spec = recipe_of(wish, model, self._served)
        name = hidden_name(model, spec)
        kept = self._kept.get(name)
        outcome = Composed.REUSED
        if kept is None or kept.loop.wanted is None:
            self._check_quota(self._limits.per_minute)
            self._make_room(name, self._limits.max_kept)
            self._made.append(self._clock())
            kept = self._begin(name, spec, lambda: recipe_of(wish, model, self._served))
            outcome = Composed.MADE
        self._kept.move_to_end(name)
        await self._until_served(kept)
        return name, outcome

    @property
    def _count(self) -> int:
        return sum(kept.loop.wanted is not None for kept in self._kept.values())

    def _check_quota(self, per_minute: int) -> None:
        now = self._clock()
        while self._made and self._made[0] <= now - _MINUTE_SECONDS:
            self._made.popleft()
        if len(self._made) >= per_minute:
            raise NotComposed(
                Problem.QUOTA,
                f"{per_minute} new compositions were made within the last minute, which is all that "
                f"spec.adapters.composition.perMinute of the LoRAModel allows; ask for one of those again, or later",
            )

    def _make_room(self, name: str, max_kept: int) -> None:
        if name not in self._kept and len(self._kept) >= _LEAVING * max_kept:
            raise NotComposed(
                Problem.NOT_NOW,
                f"{len(self._kept)} compositions are in the engine, whose requests have not ended yet: twice what "
                f"spec.adapters.composition.maxKept of the LoRAModel allows to be kept; ask again later",
            )
        while self._count >= max_kept:
            idle = (kept for kept in self._kept.values() if kept.loop.wanted is not None and not kept.waiting)
            oldest = next(idle, None)
            if oldest is None:
                raise NotComposed(
                    Problem.NOT_NOW,
                    f"{max_kept} compositions are being made, which is all that spec.adapters.composition.maxKept of the "
                    f"LoRAModel allows; ask again later",
                )
            _drop(oldest)

    def _begin(self, name: str, spec: RevisionSpec, recipe: Callable[[], RevisionSpec]) -> _Kept:
        kept = self._kept.get(name)
        if kept is None:
            changed = asyncio.Event()
            # Not told to the observer: what clients ask for must not look like trouble with what is declared.
            loop = AdapterLoop(name, self._workshop, self._turn, changed.set, self._clock)
            kept = self._kept[name] = _Kept(loop, recipe, changed)
            self._spawn(self._run(name, kept))
        kept.loop.want(DesiredAdapter(name=name, serve=spec))
        return kept

    async def _run(self, name: str, kept: _Kept) -> None:
        while True:
            await kept.loop.run()
            if kept.loop.wanted is None:
                break
        del self._kept[name]

    async def _until_served(self, kept: _Kept) -> None:
        deadline = self._clock() + _WAIT_SECONDS
        kept.waiting += 1
        try:
            while kept.loop.serving is None:
                if kept.loop.wanted is None:
                    raise NotComposed(Problem.NOT_NOW, "what it was made of has changed meanwhile; ask again")
                self._give_up_failed(kept)
                kept.changed.clear()
                async with asyncio.timeout(max(0.0, deadline - self._clock())):
                    await kept.changed.wait()
        except TimeoutError as error:
            message = f"it was not made within {_WAIT_SECONDS:g} s; ask again later"
            raise NotComposed(Problem.NOT_NOW, message) from error
        finally:
            kept.waiting -= 1

    def _give_up_failed(self, kept: _Kept) -> None:
        failed = next((r for r in kept.loop.report().revisions if r.state is RevisionState.FAILED), None)
        if failed is None:
            return
        _drop(kept)
        problem = _problem(failed)
        raise NotComposed(problem, failed.message, failed.reason if problem is Problem.REFUSED else None)


def _drop(kept: _Kept) -> None:
    kept.loop.want(None)
    kept.changed.set()


def _problem(failed: RevisionReport) -> Problem:
    """Its members are served already: only what comes of them together can be wrong for good."""
    return Problem.REFUSED if failed.reason in (Reason.RANK_TOO_LARGE, Reason.UNSUPPORTED_FEATURE) else Problem.NOT_NOW
