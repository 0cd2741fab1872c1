"""From a recipe to a folder the engine can load: fetch, verify, check against the base, scale and blend."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from lora_api.runtime_api import AdapterFacts, ResolveRequest, RevisionSpec
from lora_runtime.adapters.base import BaseModel
from lora_runtime.adapters.compatibility import check_blend_rank, validate
from lora_runtime.store.content import ContentStore
from lora_runtime.store.versions import Published


@dataclass(slots=True)
class Progress:
    """Bytes fetched so far; written by worker threads, read by reports."""

    done: int | None = None
    total: int | None = None

    def part(self) -> Callable[[int, int | None], None]:
        """A callback for one more download; the downloads add up."""
        before_done, before_total = self.done or 0, self.total or 0

        def update(done: int, total: int | None) -> None:
            self.done = before_done + done
            self.total = None if total is None else before_total + total

        return update


class Workshop:
    """Makes revisions. The base model's shapes may arrive after it has been built; work that needs them waits."""

    def __init__(self, store: ContentStore, max_rank: int) -> None:
        self._store = store
        self._max_rank = max_rank
        self._base: asyncio.Future[BaseModel] = asyncio.get_running_loop().create_future()

    def set_base(self, base: BaseModel) -> None:
        """Tells the modules and shapes that adapters must fit."""
        self._base.set_result(base)

    async def make(self, spec: RevisionSpec, progress: Progress) -> Published:
        """Returns the folder of a revision, whose bytes depend on the recipe alone.

        Raises:
            Refused: a part cannot be had, or does not fit.
        """
        folders = [await self._store.ensure(part.source, part.digest, progress.part()) for part in spec.parts]
        base = await asyncio.shield(self._base)
        inspections = [await asyncio.to_thread(validate, folder, base, self._max_rank) for folder in folders]
        check_blend_rank(inspections, self._max_rank)
        return await self._store.publish(spec, inspections)

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        """Finds, pins and checks one source.

        Raises:
            Refused: it cannot be had, or does not fit.
        """
        found = await self._store.resolve(request.source, request.digest, progress.part())
        inspection = await asyncio.to_thread(validate, found.folder, await asyncio.shield(self._base), self._max_rank)
        return AdapterFacts(
            source=found.source,
            resolved=found.resolved,
            digest=found.digest,
            rank=inspection.rank,
            size_bytes=found.size_bytes,
        )
