"""Sockets in the file system: a file that stays when its process is gone."""

from __future__ import annotations

import socket
from pathlib import Path


def listens(path: Path) -> bool:
    """Whether a living process answers at the socket."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
