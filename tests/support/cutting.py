"""A way to a server that is cut: bytes are passed on both ways until a limit, once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass
class Cutter:
    """The running detour."""

    address: str
    """`host:port`, to use in place of the server's."""
    cut_after: int | None = None
    """The next connection on which the server sends more than so many bytes is closed after them."""
    cuts: int = 0


@contextmanager
def cutting(port: int) -> Iterator[Cutter]:
    """A detour to a server on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cutter = Cutter(f"127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=_accept, args=(listener, port, cutter), daemon=True).start()
        yield cutter
        # closing alone does not wake a thread that accepts
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, port: int, cutter: Cutter) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", port), timeout=10)
        threading.Thread(target=_pass, args=(client, server, None), daemon=True).start()
        threading.Thread(target=_pass, args=(server, client, cutter), daemon=True).start()


def _pass(source: socket.socket, target: socket.socket, cutter: Cutter | None) -> None:
    passed = 0
    with suppress(OSError):
        while data := source.recv(64 << 10):
            if cutter is not None and cutter.cut_after is not None and passed + len(data) > cutter.cut_after:
                target.sendall(data[: cutter.cut_after - passed])
                cutter.cut_after = None
                cutter.cuts += 1
                break
            target.sendall(data)
            passed += len(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        if cutter is not None:
            end.close()
