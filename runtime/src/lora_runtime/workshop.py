"""From a recipe to a folder the engine can load: fetch, verify, check against the base, scale and blend."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from lora_api.runtime_api import AdapterFacts, ResolveRequest, RevisionSpec
from lora_api.v1alpha1.adapter import Precision
from lora_runtime.adapters.base import BaseModel
from lora_runtime.adapters.blend import check_fits_float16
from lora_runtime.adapters.compatibility import check_adapted, check_recipe_rank, validate
from lora_runtime.adapters.inspect import Inspection
from lora_runtime.store.content import ContentStore
from lora_runtime.store.versions import Published

log = logging.getLogger(__name__)

T = TypeVar("T")

_CHECKED_KEPT = 256
"""So many adapters need not be read again when only a weight changes."""
_PAUSES_SECONDS = (2.0, 8.0, 30.0)
"""An engine that warms up may be busy for a minute; without its answer, revisions wait."""


@dataclass(slots=True)
class Progress:
    """How far a preparation is; written by worker threads, read by reports."""

    done: int | None = None
    """Bytes fetched so far."""
    total: int | None = None
    waited_seconds: float = 0.0
    """For the base model and the engine, which start once, whatever is prepared meanwhile."""

    def part(self) -> Callable[[int, int | None], None]:
        """A callback for one more download; the downloads add up."""
        before_done, before_total = self.done or 0, self.total or 0

        def update(done: int, total: int | None) -> None:
            self.done = before_done + done
            self.total = None if total is None else before_total + total

        return update


class Adapts(Protocol):
    """Knows which modules adapters act on, and how exactly; see Engine."""

    @property
    def precision(self) -> Precision:
        """What adapters are rounded to."""
        ...

    async def adapted(self, modules: Collection[str]) -> Collection[str]:
        """Those that they act on.

        Raises:
            TimeoutError: it had no time to answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Engine:
    """What the engine says of itself."""

    adapted: Collection[str] | None
    """The base model's modules that it applies adapters to; None if it does not tell."""
    precision: Precision


class Workshop:
    """Makes revisions. What it must know of the base model and the engine may arrive later; work that needs it waits."""

    def __init__(self, store: ContentStore, max_rank: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._max_rank = max_rank
        self._clock = clock
        self._base: asyncio.Future[BaseModel] = asyncio.get_running_loop().create_future()
        self._engine: asyncio.Future[_Engine] = asyncio.get_running_loop().create_future()
        self._checked: OrderedDict[str, Inspection] = OrderedDict()
        """By digest: what was found to fit. Other bytes have another digest."""

    def set_base(self, base: BaseModel) -> None:
        """Tells the modules and shapes that adapters must fit."""
        self._base.set_result(base)

    async def learn_engine(self, engine: Adapts, pauses: Sequence[float] = _PAUSES_SECONDS) -> None:
        """Asks the engine, once it is there, which modules of the base model it applies adapters to, and how exactly.

        Args:
            engine: Asked once more after each pause while it is too busy to answer.
            pauses: In seconds.
        """
        base = await asyncio.shield(self._base)
        try:
            adapted = await _ask(engine, tuple(base.modules), pauses)
        except Exception as error:
            # A worker of an accelerator that does not tell, or never: what is known of the base model has to do.
            log.warning("modules of adapters are not checked against the engine why=%s", error, exc_info=True)
            self._engine.set_result(_Engine(None, engine.precision))
        else:
            self._engine.set_result(_Engine(adapted, engine.precision))

    async def make(self, spec: RevisionSpec, progress: Progress) -> Published:
        """Returns the folder of a revision, whose bytes depend on the recipe alone.

        Raises:
            Refused: a part cannot be had, or does not fit.
        """
        leaves = spec.leaves
        folders = [await self._store.ensure(leaf.source, leaf.digest, progress.part()) for leaf in leaves]
        inspections = [
            await self._check(leaf.digest, folder, progress) for leaf, folder in zip(leaves, folders, strict=True)
        ]
        found = {leaf.digest: inspection for leaf, inspection in zip(leaves, inspections, strict=True)}
        check_recipe_rank(spec, found, self._max_rank)
        published = await self._store.publish(spec, inspections)
        engine = await self._once_there(self._engine, progress)
        check_adapted(inspections, engine.adapted)
        if engine.precision is Precision.FLOAT16:
            # The others reach as far as float32, in which the values are finite.
            await asyncio.to_thread(check_fits_float16, published.folder)
        return replace(published, note=_note(inspections))

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        """Finds, pins and checks one source.

        Raises:
            Refused: it cannot be had, or does not fit.
        """
        found = await self._store.resolve(request.source, request.digest, progress.part())
        with self._store.hold(found.digest):
            inspection = await self._check(found.digest, found.folder, progress)
        if self._engine.done():
            check_adapted([inspection], self._engine.result().adapted)
        return AdapterFacts(
            source=found.source,
            digest=found.digest,
            rank=inspection.rank,
            size_bytes=found.size_bytes,
        )

    async def _check(self, digest: str, folder: Path, progress: Progress) -> Inspection:
        checked = self._checked.get(digest)
        if checked is None:
            base = await self._once_there(self._base, progress)
            checked = await asyncio.to_thread(validate, folder, base, self._max_rank)
            if len(self._checked) >= _CHECKED_KEPT:
                self._checked.popitem(last=False)
        self._checked[digest] = checked
        self._checked.move_to_end(digest)
        return checked

    async def _once_there(self, awaited: "asyncio.Future[T]", progress: Progress) -> T:
        began = self._clock()
        found = await asyncio.shield(awaited)
        progress.waited_seconds += self._clock() - began
        return found


async def _ask(engine: Adapts, modules: Collection[str], pauses: Sequence[float]) -> Collection[str]:
    for pause in pauses:
        try:
            return await engine.adapted(modules)
        except TimeoutError as error:
            log.warning("the engine does not tell its modules yet why=%s retry_in=%s", error, pause)
            await asyncio.sleep(pause)
    return await engine.adapted(modules)


def _note(inspections: Sequence[Inspection]) -> str:
    if any(inspection.acts for inspection in inspections):
        return ""
    return (
        "it changes nothing: in every module A or B is zero, as PEFT makes them before training, so that the name "
        "answers as the base model does"
    )
