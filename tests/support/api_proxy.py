"""Between a client and the API server: passes everything on, until watches fall silent, writes are late or all is cut."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import yaml

from support.tls import server_context

_WATCH = b"watch=true"
_WRITE = b"PATCH "
_GONE = b'"code":410'
_END = b"0\r\n\r\n"
"""Of an answer that comes in chunks."""
_PATIENCE_SECONDS = 30
_HOST = "127.0.0.1"


@dataclass
class _Course:
    """What one connection is used for."""

    watched: str = ""
    """The resource that is watched."""
    held: str = ""
    """The path of the write that was held back."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class ApiProxy:
    """Ends TLS, so that it can tell a watch from other requests. A client logs in with a token.

    Works on a loop in a thread of its own while it is entered; what it is told may be told by any thread.
    """

    def __init__(self, upstream: str, folder: Path) -> None:
        self._upstream = urlsplit(upstream)
        self._server_side, _ = server_context(folder, _HOST)
        self._client_side = ssl.create_default_context()
        self._client_side.check_hostname, self._client_side.verify_mode = False, ssl.CERT_NONE
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._watches: dict[asyncio.StreamWriter, _Course] = {}
        self._silent = False
        self._refused: bytes | None = None
        self._writes_pass = asyncio.Event()
        self._writes_pass.set()
        self._held_place = ""
        self.held: list[str] = []
        """The path of each write that was held back, be it on its way still."""
        self.late: list[tuple[str, int]] = []
        """The path of each write that was held back, and the status with which the API server answered it."""
        self.watched: set[str] = set()
        """The plural of each resource of which a watch was asked for."""
        self.gone: set[str] = set()
        """The plural of each resource of which a watcher was told that the version it came with is too old: 410."""

    def __enter__(self) -> Self:
        self._thread.start()
        serving = asyncio.start_server(self._serve, _HOST, 0, ssl=self._server_side)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(_PATIENCE_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_PATIENCE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_SECONDS)
        self._loop.close()

    def stand_between(self, kubeconfig: Path) -> None:
        """Has whoever uses this kubeconfig come here."""
        assert self._server is not None
        login = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        [entry] = login["clusters"]
        port = self._server.sockets[0].getsockname()[1]
        entry["cluster"] = {"server": f"https://{_HOST}:{port}", "insecure-skip-tls-verify": True}
        kubeconfig.write_text(yaml.safe_dump(login), encoding="utf-8")

    def silence_watches(self) -> None:
        """From now on no watcher hears anything, nor that it does not; other requests are answered."""
        self._silent = True

    def end_watches(self) -> None:
        """Those that are open end in good order, as they do once their time is up; they and later ones are heard again."""
        self._silent = False
        self._do(self._end)

    def refuse_watches(self, plural: str) -> None:
        """From now on a watch of this resource cannot be begun, while other ones can."""
        self._refused = f"/{plural}?".encode()

    def take_watches(self) -> None:
        """All can be begun again."""
        self._refused = None

    def hold_writes(self, place: str = "") -> None:
        """From now on, patches stay on their way; they will arrive even if who sent them has given them up.

        All of them, or those with this in their path.
        """
        self._held_place = place
        self._do(self._writes_pass.clear)

    def deliver_writes(self) -> None:
        """Those that were held back arrive, and later ones do at once."""
        self._do(self._writes_pass.set)

    def cut(self) -> None:
        """Closes every connection; those that are made from now on work."""
        self._silent = False
        self._do(self._cut)

    def _do(self, act: Callable[[], None]) -> None:
        async def now() -> None:
            act()

        asyncio.run_coroutine_threadsafe(now(), self._loop).result(_PATIENCE_SECONDS)

    def _cut(self) -> None:
        for writer in tuple(self._open):
            writer.transport.abort()

    def _end(self) -> None:
        for near, course in tuple(self._watches.items()):
            course.watched = ""
            near.write(_END)
            near.close()

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, asked: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        host, port = self._upstream.hostname or "", self._upstream.port or 443
        with contextlib.closing(near), contextlib.suppress(OSError):
            said, far = await asyncio.open_connection(host, port, ssl=self._client_side, server_hostname=host)
            self._open |= {near, far}
            course = _Course()
            back = asyncio.create_task(self._answer(said, near, course))
            try:
                with contextlib.suppress(OSError):
                    await self._ask(asked, near, far, course)
            finally:
                self._open -= {near, far}
                self._watches.pop(near, None)
                far.close()
                await back

    async def _ask(
        self, asked: asyncio.StreamReader, near: asyncio.StreamWriter, far: asyncio.StreamWriter, course: _Course
    ) -> None:
        while request := await asked.read(65536):
            if _WATCH in request:
                course.watched = urlsplit(request.split(b" ", 2)[1].decode()).path.rsplit("/", 1)[-1]
                self.watched.add(course.watched)
                self._watches[near] = course
            if self._refused is not None and _WATCH in request and self._refused in request:
                return
            if self._is_to_wait(request):
                course.held = request.split(b" ", 2)[1].decode()
                self.held.append(course.held)
                await self._writes_pass.wait()
            far.write(request)
            await far.drain()
        if course.held:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(course.answered.wait(), _PATIENCE_SECONDS)

    def _is_to_wait(self, request: bytes) -> bool:
        if self._writes_pass.is_set() or not request.startswith(_WRITE):
            return False
        return self._held_place in request.split(b" ", 2)[1].decode()

    async def _answer(self, said: asyncio.StreamReader, near: asyncio.StreamWriter, course: _Course) -> None:
        with contextlib.suppress(OSError):
            while answer := await said.read(65536):
                if course.held and not course.answered.is_set():
                    self.late.append((course.held, int(answer.split(b" ", 2)[1])))
                    course.answered.set()
                if not (course.watched and self._silent) and not near.is_closing():
                    if course.watched and _GONE in answer:
                        self.gone.add(course.watched)
                    near.write(answer)
                    await near.drain()
        if not (course.watched and self._silent):
            near.close()
