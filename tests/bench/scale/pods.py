"""The pods' runtimes: stand-ins, each in a process of its own, whose requests are counted."""

import asyncio
import multiprocessing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext
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


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a runtime."""

    settled: bool
    """Whether its pod may be ready."""
    served: int
    """Names that answer."""
    loaded: int
    """Revisions that its engine has."""


class _Runtime:
    """One process, which begins when it is told to: none can be forked later."""

    def __init__(self, fork: ForkContext, ip: str, *what: Any) -> None:
        self._pipe, theirs = fork.Pipe()
        self._process = fork.Process(target=_serve, args=(theirs, ip, *what), daemon=True)

    def fork(self) -> None:
        self._process.start()

    def begin(self) -> None:
        self._pipe.send("begin")

    def wait(self) -> None:
        if not self._pipe.poll(_START_SECONDS):
            raise TimeoutError(f"a stand-in did not start in {_START_SECONDS} s")
        self._pipe.recv()

    def look(self) -> Seen:
        self._pipe.send("look")
        found: Seen = self._pipe.recv()
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


class Pods:
    """The runtimes of some pods while it is entered. Forks: to be made before any thread is."""

    def __init__(self, ips: list[str], tls: list[Path], folder: Path, slow_seconds: float, spares: int = 0) -> None:
        """Takes an address for each pod, the folder with its certificate, and how many of the first can begin anew once."""
        fork = multiprocessing.get_context("fork")
        self._counts = [fork.Array("q", 4, lock=False) for _ in ips]
        given = [
            (ip, certificate, folder / ip, slow_seconds, counts)
            for ip, certificate, counts in zip(ips, tls, self._counts, strict=True)
        ]
        self._runtimes = [_Runtime(fork, *each) for each in given]
        self._spares = [_Runtime(fork, *each) for each in given[:spares]]

    def __enter__(self) -> Self:
        for runtime in (*self._runtimes, *self._spares):
            runtime.fork()
        for runtime in self._runtimes:
            runtime.begin()
        for runtime in self._runtimes:
            runtime.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for runtime in (*self._runtimes, *self._spares):
            runtime.kill()

    def kill(self, index: int) -> None:
        """Ends a runtime at once, and leaves what it has written."""
        self._runtimes[index].kill()

    def begin_anew(self, index: int) -> None:
        """Starts another process in the place of one that was killed; returns when it answers the operator."""
        self._runtimes[index], runtime = self._spares[index], self._runtimes[index]
        self._spares[index] = runtime
        self._runtimes[index].begin()
        self._runtimes[index].wait()

    def look(self) -> list[Seen]:
        """At each of them, now."""
        return [runtime.look() for runtime in self._runtimes]

    def traffic(self) -> Traffic:
        """So far, of all of them."""
        return sum((Traffic(*counts) for counts in self._counts), Traffic(0, 0, 0, 0))


def _serve(pipe: Connection, ip: str, tls: Path, store: Path, slow_seconds: float, counts: Any) -> None:
    pipe.recv()
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
        while True:
            pipe.recv()
            # In this order: what is served when it has settled is not less when it is counted.
            settled = runtime.settled
            pipe.send(Seen(settled, len(runtime.engine.published), len(runtime.engine.loaded)))
