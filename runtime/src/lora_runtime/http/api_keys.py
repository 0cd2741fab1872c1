"""The keys that clients may show, from a mounted Secret that may change at any time."""

import hashlib
import hmac
import os
from pathlib import Path

from lora_api.key_file import keys_in

_SCHEME = "bearer"

OPEN = frozenset({"health", "ping", "ready", "metrics"})
"""Paths for kubelets and scrapers, who have no key. None of them reaches the engine."""


class ApiKeys:
    """The keys of some files, each looked at for each request; while all are missing or empty, nobody is admitted."""

    def __init__(self, *files: Path) -> None:
        self._files = tuple(map(_KeysFile, files))

    @property
    def missing(self) -> bool:
        """Whether there is no key that anybody could show."""
        return not any(file.current() for file in self._files)

    def admit(self, authorization: str, api_key: str = "") -> bool:
        """Whether one of the keys is shown: by the header `Authorization`, or by `X-Api-Key`.

        The second is for who comes through the API server's proxy, which takes the first for itself.
        """
        scheme, _, token = authorization.partition(" ")
        shown = [api_key.strip(), token.strip() if scheme.lower() == _SCHEME else ""]
        known = [digest for file in self._files for digest in file.current()]
        # All of them, and digests of one length, so that time tells nothing about any key.
        matches = [hmac.compare_digest(_digest(key), digest) for key in shown for digest in known]
        return any(matches)


class _KeysFile:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._digests: tuple[bytes, ...] = ()

    def current(self) -> tuple[bytes, ...]:
        try:
            stat = os.stat(self._file)
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if stamp != self._stamp:
                self._digests = tuple(map(_digest, keys_in(self._file.read_bytes())))
                self._stamp = stamp
        except (OSError, UnicodeDecodeError):
            self._digests, self._stamp = (), None
        return self._digests


def needs_key(method: str, path: str) -> bool:
    """Whether a request has to show a key: all but those for OPEN, and what browsers ask before they send one."""
    return method != "OPTIONS" and path.strip("/") not in OPEN


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
