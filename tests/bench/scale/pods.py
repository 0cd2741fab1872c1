"""The pods' runtimes: stand-ins, each in a process of its own, whose requests are counted."""

import asyncio
import multiprocessing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lora_api.runtime_api import RevisionSpec
from lora_operator.domain import render
from lora_runtime.http.asgi import App, Message, Receive, Scope, Send
from lora_runtime.store.versions import Published
from lora_runtime.workshop import Progress
from support.stand_in import EverySourceExists, StandIn

SLOW = "team/slow"
"""The source whose revisions take long to make."""

_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Traffic:
    """What came to the admin ports."""

    requests: int
    """All but long polls."""
    polls: int
    received_bytes: int
    """Bodies of requests."""
    sent_bytes: int
    """Bodies of answers."""

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(
            self.requests + other.requests,
            self.polls + other.polls,
            self.received_bytes + other.received_bytes,
            self.sent_bytes + other.sent_bytes,
        )

    def since(self, earlier: "Traffic") -> "Traffic":
        """What came after `earlier`."""
        return Traffic(
            self.requests - earlier.requests,
            self.polls - earlier.polls,
            self.received_bytes - earlier.received_bytes,
            self.sent_bytes - earlier.sent_bytes,
        )


class _Slow(EverySourceExists):
    """One source is slow: the tenth of a minute that a large download takes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def make(self, spec: RevisionSpec, progress: Progress) -> Published:
        if any(SLOW in leaf.source.describe() for leaf in spec.leaves):
            await asyncio.sleep(self._seconds)
        return await super().make(spec, progress)


class _Counting:
    """ASGI middleware; the counts are in memory that another process reads."""

    def __init__(self, app: App, counts: Any) -> None:
        self._app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._counts[1 if scope["method"] == "GET" else 0] += 1

        async def received() -> Message:
            message = await receive()
            self._counts[2] += len(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            self._counts[3] += len(message.get("body", b""))
            await send(message)

        await self._app(scope, received, sent)


class Pods:
    """The runtimes of some pods while it is entered. Forks: to be made before any thread is."""

    def __init__(self, ips: list[str], tls: list[Path], folder: Path, slow_seconds: float) -> None:
        """Takes an address for each pod, and the folder with its certificate."""
        self._fork = multiprocessing.get_context("fork")
        self._counts = [self._fork.Array("q", 4, lock=False) for _ in ips]
        self._pipes: list[Connection] = []
        self._processes = []
        for ip, certificate, counts in zip(ips, tls, self._counts, strict=True):
            ours, theirs = self._fork.Pipe()
            target = (theirs, ip, certificate, folder / ip, slow_seconds, counts)
            self._processes.append(self._fork.Process(target=_serve, args=target, daemon=True))
            self._pipes.append(ours)

    def __enter__(self) -> Self:
        for process in self._processes:
            process.start()
        for pipe in self._pipes:
            if not pipe.poll(_START_SECONDS):
                raise TimeoutError(f"a stand-in did not start in {_START_SECONDS} s")
            pipe.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.join()

    @property
    def pids(self) -> list[int]:
        """Of their processes."""
        return [process.pid for process in self._processes if process.pid is not None]

    def traffic(self) -> Traffic:
        """So far, of all of them."""
        return sum((Traffic(*counts) for counts in self._counts), Traffic(0, 0, 0, 0))


def _serve(pipe: Connection, ip: str, tls: Path, store: Path, slow_seconds: float, counts: Any) -> None:
    runtime = StandIn(
        ip,
        render.ADMIN_PORT,
        tls,
        store=store,
        workshop=_Slow(slow_seconds),
        wrap=lambda app: _Counting(app, counts),
        remembers=False,
    )
    with runtime:
        pipe.send("ready")
        pipe.poll(None)
