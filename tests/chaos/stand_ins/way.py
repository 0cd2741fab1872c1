"""The way from the operator to a pod's admin port, which can be cut and silenced. Lives on one event loop."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from lora_operator.domain import render


class Way:
    """Passes bytes on from a pod's address to the port that its process listens on."""

    def __init__(self, ip: str, port: int) -> None:
        self._ip, self._port = ip, port
        self._server: asyncio.Server | None = None
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connections are made and passed on, those that were silent too."""
        self._passing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, self._ip, render.ADMIN_PORT)

    async def cut(self) -> None:
        """Connections end, and new ones are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def silence(self) -> None:
        """Nothing comes through, and nobody is told."""
        self._passing.clear()

    async def close(self) -> None:
        """Ends it for good."""
        await self.cut()
        for task in list(self._tasks):
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._passing.wait()
            up_reader, up_writer = await asyncio.open_connection(self._ip, self._port)
        except OSError:
            self._end(writer)
            return
        self._writers.add(up_writer)
        self._spawn(self._pass(reader, up_writer, writer))
        self._spawn(self._pass(up_reader, writer, up_writer))

    async def _pass(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, own: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(64 << 10):
                await self._passing.wait()
                target.write(data)
                await target.drain()
        self._end(target)
        self._end(own)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
