"""The scalings of the last requests of one worker: copied when a request ends, just before its slots are given to others."""

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

MOST_BYTES = 64 << 20
"""Of all that is kept; a longer one is not kept at all."""


class KeptScalings:
    """Stands before the model runner's `execute_model`, whose argument is all that it reads: vLLM has more than one runner."""

    def __init__(
        self, runner: Any, rows: torch.Tensor, block_size: int, requests: int, window: int | None = None
    ) -> None:
        """Takes its place; once.

        Args:
            runner: vLLM's model runner.
            rows: By slot of the KV cache; see Recorder.
            block_size: Slots of one block.
            requests: So many are kept.
            window: Tokens whose slots a request has for good; those before them are given to others meanwhile.
        """
        self._rows, self._block_size, self._requests = rows, block_size, requests
        self._window = window
        self._ends: dict[str, int] = {}
        """Of each request under way, how many tokens were computed when the step under way ends."""
        self._blocks: dict[str, list[int]] = {}
        """Of each request under way, the blocks of the KV cache that it has."""
        self._kept: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._bytes = 0
        runner.execute_model = self._noting(runner.execute_model)

    def of(self, request_id: str) -> torch.Tensor | None:
        """`[tokens, width]` of a request that has ended, or of what is computed so far."""
        if (found := self._kept.get(request_id)) is not None:
            return found
        under_way = next((name for name in self._ends if _as_asked(name) == request_id), None)
        return None if under_way is None else self._read(under_way)

    def _noting(self, execute_model: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(execute_model)
        def wrapped(scheduled: Any, *args: Any, **kwargs: Any) -> Any:
            # before the step: it may write over what those who have ended had
            for name in scheduled.finished_req_ids:
                if (found := self._read(name)) is not None:
                    self._keep(_as_asked(name), found)
                self._forget(name)
            for name in scheduled.preempted_req_ids or ():
                # its slots are others' from this step on; it begins anew with slots of its own
                self._forget(name)
            self._follow(scheduled)
            return execute_model(scheduled, *args, **kwargs)

        return wrapped

    def _follow(self, scheduled: Any) -> None:
        computed = {}
        for new in scheduled.scheduled_new_reqs:
            computed[new.req_id] = new.num_computed_tokens
            self._blocks[new.req_id] = list(new.block_ids[0])
        others = scheduled.scheduled_cached_reqs
        for name, count, blocks in zip(others.req_ids, others.num_computed_tokens, others.new_block_ids, strict=True):
            computed[name] = count
            if name in others.resumed_req_ids:
                self._blocks[name] = []
            # of requests that were under way before anything was kept, the first blocks are not known
            if blocks is not None and name in self._blocks:
                self._blocks[name] += blocks[0]
        for name, count in scheduled.num_scheduled_tokens.items():
            self._ends[name] = computed[name] + count

    def _forget(self, name: str) -> None:
        self._ends.pop(name, None)
        self._blocks.pop(name, None)

    def _read(self, name: str) -> torch.Tensor | None:
        found, end = self._blocks.get(name), self._ends.get(name)
        if found is None or end is None or (self._window is not None and end > self._window):
            return None
        blocks = torch.tensor(found, device=self._rows.device)
        slots = (blocks[:, None] * self._block_size + torch.arange(self._block_size, device=blocks.device)).flatten()
        return self._rows[slots[:end]].cpu()

    def _keep(self, name: str, found: torch.Tensor) -> None:
        if (before := self._kept.pop(name, None)) is not None:
            self._bytes -= before.nbytes
        if found.nbytes > MOST_BYTES:
            return
        self._kept[name] = found
        self._bytes += found.nbytes
        while len(self._kept) > self._requests or self._bytes > MOST_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes


def _as_asked(name: str) -> str:
    """What the server calls a request: vLLM puts random digits behind it."""
    return name.rpartition("-")[0]
