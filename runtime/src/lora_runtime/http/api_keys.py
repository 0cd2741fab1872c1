"""The keys that clients may show, from a mounted Secret that may change at any time."""

import hashlib
import hmac
import os
from pathlib import Path

_SCHEME = "bearer"

OPEN = frozenset({"health", "ping", "ready", "metrics"})
"""Paths for kubelets and scrapers, who have no key. None of them reaches the engine."""


class ApiKeys:
    """Looks at the file at each request; while it is missing or empty, nobody is admitted."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._digests: tuple[bytes, ...] = ()

    def admit(self, authorization: str) -> bool:
        """Whether the value of the header `Authorization` holds one of the keys."""
        scheme, _, shown = authorization.partition(" ")
        digest = _digest(shown.strip())
        # All of them, and digests of one length, so that time tells nothing about any key.
        matches = [hmac.compare_digest(digest, known) for known in self._current()]
        return scheme.lower() == _SCHEME and any(matches)

    def _current(self) -> tuple[bytes, ...]:
        try:
            stat = os.stat(self._file)
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if stamp != self._stamp:
                lines = self._file.read_text(encoding="utf-8").splitlines()
                self._digests = tuple(_digest(line.strip()) for line in lines if line.strip())
                self._stamp = stamp
        except (OSError, UnicodeDecodeError):
            self._digests, self._stamp = (), None
        return self._digests


def needs_key(method: str, path: str) -> bool:
    """Whether a request has to show a key: all but those for OPEN, and what browsers ask before they send one."""
    return method != "OPTIONS" and path.strip("/") not in OPEN


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
