"""Answers the operator's questions about sources; a question asked twice at once is worked on once."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from lora_api.runtime_api import AdapterFacts, Refusal, ResolveRequest, ResolveResponse, ResolveState
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_runtime.adapters.errors import Refused, not_fetched
from lora_runtime.workshop import Progress

log = logging.getLogger(__name__)

_REMEMBERED = 256
"""Digests remembered at most; the files of older ones may be fetched again."""
UNASKED_SECONDS = 60.0
"""A question that nobody has repeated for so long is dropped, with its download and its answer."""

_TROUBLE_OF_THE_POD = (OSError, MemoryError, RuntimeError)
"""RuntimeError is what Python raises without threads, and torch without memory."""


class Resolver(Protocol):
    """Finds, pins and checks one source; see Workshop."""

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        """Returns the facts, or raises Refused."""
        ...


@dataclass(slots=True, eq=False)
class _Job:
    task: asyncio.Task[ResolveResponse]
    progress: Progress
    askers: int = 0
    dropping: asyncio.TimerHandle | None = None


class Resolutions:
    """Jobs by question. An answer is given once; asking again after that asks the source again."""

    def __init__(self, workshop: Resolver, unasked_seconds: float = UNASKED_SECONDS) -> None:
        self._workshop = workshop
        self._unasked_seconds = unasked_seconds
        self._jobs: dict[bytes, _Job] = {}
        self.digests: deque[str] = deque(maxlen=_REMEMBERED)
        """Digests found lately: their files are about to be wanted."""

    async def answer(self, request: ResolveRequest, wait_seconds: float) -> ResolveResponse:
        """Answers, or says Fetching if that takes longer than `wait_seconds`."""
        key = request.canonical()
        job = self._jobs.get(key)
        if job is None:
            progress = Progress()
            job = _Job(asyncio.create_task(self._work(request, progress)), progress)
            self._jobs[key] = job
        job.askers += 1
        if job.dropping is not None:
            job.dropping.cancel()
        try:
            await asyncio.wait({job.task}, timeout=wait_seconds)
        finally:
            job.askers -= 1
            if not job.askers:
                job.dropping = asyncio.get_running_loop().call_later(self._unasked_seconds, self._drop, key, job)
        if not job.task.done():
            return ResolveResponse(
                state=ResolveState.FETCHING, bytes_done=job.progress.done, bytes_total=job.progress.total
            )
        self._drop(key, job)
        return job.task.result()

    async def _work(self, request: ResolveRequest, progress: Progress) -> ResolveResponse:
        try:
            facts = await self._workshop.resolve(request, progress)
        except Refused as error:
            return ResolveResponse(state=ResolveState.REFUSED, refusal=error.refusal)
        except _TROUBLE_OF_THE_POD as error:
            # No memory, no threads, no files left: the adapter may be sound.
            log.exception("trouble source=%s", request.source.describe())
            trouble = not_fetched(
                Reason.SOURCE_UNREACHABLE,
                f"the pod had trouble of its own while it fetched or checked it ({type(error).__name__}: {error}"[:900]
                + "); it is tried again. If that stays so, look at the pod's log and its memory",
                retryable=True,
            )
            return ResolveResponse(state=ResolveState.REFUSED, refusal=trouble.refusal)
        except Exception as error:
            # An adapter that nobody foresaw is that adapter's trouble; without an answer it would be asked about for ever.
            log.exception("unexpected source=%s", request.source.describe())
            refusal = Refusal(
                condition=AdapterCondition.COMPATIBLE,
                reason=Reason.MALFORMED_ADAPTER,
                message=f"the pod could not check it: {type(error).__name__}: {error}"[:1024],
                retryable=False,
            )
            return ResolveResponse(state=ResolveState.REFUSED, refusal=refusal)
        self.digests.append(facts.digest)
        return ResolveResponse(state=ResolveState.RESOLVED, facts=facts)

    def _drop(self, key: bytes, job: _Job) -> None:
        if job.dropping is not None:
            job.dropping.cancel()
        if self._jobs.get(key) is job:
            del self._jobs[key]
        job.task.cancel()
