"""Between a client and the API server: passes everything on, until watches fall silent, writes are late or all is cut."""

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import yaml

from support.tls import server_context

_WATCH = b"watch=true"
_WRITE = b"PATCH "
_PATIENCE_SECONDS = 30
_HOST = "127.0.0.1"


@dataclass
class _Course:
    """What one connection is used for."""

    watches: bool = False
    held: str = ""
    """The path of the write that was held back."""
    answered: threading.Event = field(default_factory=threading.Event)


class ApiProxy:
    """Ends TLS, so that it can tell a watch from other requests. A client logs in with a token."""

    def __init__(self, upstream: str, folder: Path) -> None:
        self._upstream = urlsplit(upstream)
        self._server_side, _ = server_context(folder, _HOST)
        self._client_side = ssl.create_default_context()
        self._client_side.check_hostname, self._client_side.verify_mode = False, ssl.CERT_NONE
        self._listening = socket.create_server((_HOST, 0))
        self._open: set[socket.socket] = set()
        self._silent = threading.Event()
        self._closed = threading.Event()
        self._writes_pass = threading.Event()
        self._writes_pass.set()
        self.late: list[tuple[str, int]] = []
        """The path of each write that was held back, and the status with which the API server answered it."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def stand_between(self, kubeconfig: Path) -> None:
        """Has whoever uses this kubeconfig come here."""
        login = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        [entry] = login["clusters"]
        port = self._listening.getsockname()[1]
        entry["cluster"] = {"server": f"https://{_HOST}:{port}", "insecure-skip-tls-verify": True}
        kubeconfig.write_text(yaml.safe_dump(login), encoding="utf-8")

    def silence_watches(self) -> None:
        """From now on no watcher hears anything, nor that it does not; other requests are answered."""
        self._silent.set()

    def hold_writes(self) -> None:
        """From now on, patches stay on their way; they will arrive even if who sent them has given them up."""
        self._writes_pass.clear()

    def deliver_writes(self) -> None:
        """Those that were held back arrive, and later ones do at once."""
        self._writes_pass.set()

    def cut(self) -> None:
        """Closes every connection; those that are made from now on work."""
        self._silent.clear()
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        address = (self._upstream.hostname or "", self._upstream.port or 443)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            near = stack.enter_context(self._server_side.wrap_socket(accepted, server_side=True))
            raw = socket.create_connection(address)
            far = stack.enter_context(self._client_side.wrap_socket(raw, server_hostname=address[0]))
            self._open |= {near, far}
            stack.callback(self._open.difference_update, {near, far})
            course = _Course()
            back = threading.Thread(target=self._answer, args=(far, near, course), daemon=True)
            back.start()
            while asked := near.recv(65536):
                if _WATCH in asked:
                    course.watches = True
                if asked.startswith(_WRITE) and not self._writes_pass.is_set():
                    course.held = asked.split(b" ", 2)[1].decode()
                    self._writes_pass.wait()
                far.sendall(asked)
            if course.held:
                course.answered.wait(_PATIENCE_SECONDS)
            with contextlib.suppress(OSError):
                far.shutdown(socket.SHUT_RDWR)
            back.join()

    def _answer(self, far: socket.socket, near: socket.socket, course: _Course) -> None:
        with contextlib.suppress(OSError):
            while said := far.recv(65536):
                if course.held and not course.answered.is_set():
                    self.late.append((course.held, int(said.split(b" ", 2)[1])))
                    course.answered.set()
                if not (course.watches and self._silent.is_set()):
                    near.sendall(said)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)
