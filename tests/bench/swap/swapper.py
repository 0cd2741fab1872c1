"""Makes changes through the admin port in the operator's two phases, and keeps the timelines."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.checking.timeline import Timeline
from bench.served.recipes import Recipe
from bench.served.world import World
from bench.server.admin import Admin
from bench.swap.plan import Kind, Name, Swap
from lora_api.runtime_api import DesiredAdapter, Inventory, RevisionSpec, RevisionState


@dataclass(frozen=True, slots=True)
class Done:
    """A change that was made. Times are monotonic seconds."""

    swap: Swap
    began: float
    acknowledged: float
    """When the inventory said that it serves."""


class Swapper:
    """Changes one name after the other."""

    def __init__(self, admin: Admin, world: World) -> None:
        """Takes the way to the runtime, and what there is to serve."""
        self._admin = admin
        self._world = world
        self._uids: dict[str, int] = {}
        self.timelines: dict[str, Timeline] = {}
        self.done: list[Done] = []

    async def begin(self, names: Sequence[Name]) -> Mapping[str, Recipe]:
        """Serves the first recipe of each name."""
        first = {name.name: name.pool[0] for name in names}
        specs = {name: self._world.spec(recipe) for name, recipe in first.items()}
        inventory = await self._admin.declare(*(self._entry(name, spec) for name, spec in specs.items()))
        await self._admin.until(
            inventory, lambda found: all(_serves(found, name, spec.revision) for name, spec in specs.items())
        )
        self.timelines = {name: Timeline(recipe, time.monotonic()) for name, recipe in first.items()}
        return first

    async def make(self, swap: Swap) -> None:
        """Makes one change; returns when it is acknowledged."""
        began = time.monotonic()
        spec = self._world.spec(swap.recipe)
        match swap.kind:
            case Kind.RECREATE:
                await self._delete(swap.name)
                await self._recreate(swap.name, spec, swap.recipe)
            case Kind.REPLACE:
                self._want(swap.name, None)
                await self._recreate(swap.name, spec, swap.recipe)
            case Kind.WEIGHT | Kind.SOURCE | Kind.BLEND:
                if swap.kind is Kind.SOURCE:
                    for name, _ in swap.recipe.parts:
                        await self._admin.resolve(self._world.source(name))
                await self._change(swap.name, spec, swap.recipe)
        self.done.append(Done(swap, began, time.monotonic()))

    async def _change(self, name: str, spec: RevisionSpec, recipe: Recipe) -> None:
        """Prepares the new revision beside the old one, and then makes it serve."""
        wanted = self.timelines[name].wanted
        assert wanted is not None  # only names that are served change
        serving = self._world.spec(wanted)
        inventory = await self._admin.declare(self._entry(name, serving, spec))
        inventory = await self._admin.until(inventory, lambda found: _is(found, name, spec, RevisionState.PREPARED))
        self._want(name, recipe)
        inventory = await self._admin.declare(self._entry(name, spec))
        await self._admin.until(inventory, lambda found: _serves(found, name, spec.revision))
        self.timelines[name].acknowledge(time.monotonic())

    async def _delete(self, name: str) -> None:
        self._want(name, None)
        inventory = await self._admin.declare(without=(name,))
        await self._admin.until(inventory, lambda found: _serves(found, name, None))
        self.timelines[name].acknowledge(time.monotonic())

    async def _recreate(self, name: str, spec: RevisionSpec, recipe: Recipe) -> None:
        self._uids[name] = self._uids.get(name, 0) + 1
        self._want(name, recipe)
        inventory = await self._admin.declare(self._entry(name, spec))
        await self._admin.until(inventory, lambda found: _serves(found, name, spec.revision))
        self.timelines[name].acknowledge(time.monotonic())

    def _want(self, name: str, recipe: Recipe | None) -> None:
        self.timelines[name].want(recipe, time.monotonic())

    def _entry(self, name: str, serve: RevisionSpec, prepare: RevisionSpec | None = None) -> DesiredAdapter:
        return DesiredAdapter(name=name, uid=f"{name}-{self._uids.get(name, 0)}", serve=serve, prepare=prepare)


def _serves(inventory: Inventory, name: str, revision: str | None) -> bool:
    report = inventory.adapter(name)
    return (report.serving if report is not None else None) == revision


def _is(inventory: Inventory, name: str, spec: RevisionSpec, state: RevisionState) -> bool:
    report = inventory.adapter(name)
    found = report.report(spec.revision) if report is not None else None
    return found is not None and found.state is state
