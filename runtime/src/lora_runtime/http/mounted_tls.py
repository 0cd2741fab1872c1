"""The admin server's TLS, from the files that are mounted now: a certificate is replaced without a restart."""

import logging
import os
import ssl
from pathlib import Path

log = logging.getLogger(__name__)

CERTIFICATE = "tls.crt"
KEY = "tls.key"
AUTHORITY = "ca.crt"

_FILES = (CERTIFICATE, KEY, AUTHORITY)

Stamp = tuple[tuple[int, int], ...]


class MountedTls:
    """Mutual TLS with the files of a folder, looked at whenever a connection begins.

    The kubelet replaces all files of a mounted Secret at once. Connections that are open go on as they began.
    """

    def __init__(self, folder: Path) -> None:
        """Reads the files.

        Raises:
            OSError: a file is missing or is no certificate.
        """
        self._folder = folder
        self._stamp = _stamp(folder)
        self._newest = _context(folder)

    def listening(self) -> ssl.SSLContext:
        """For the server's socket; each handshake goes on with the newest files."""
        context = _context(self._folder)

        def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            connection.context = self._current()

        context.sni_callback = choose
        return context

    def _current(self) -> ssl.SSLContext:
        try:
            stamp = _stamp(self._folder)
            if stamp != self._stamp:
                self._newest = _context(self._folder)
                self._stamp = stamp
                log.info("the certificate was replaced folder=%s", self._folder)
        except OSError as error:
            # Of another moment than their neighbours, or damaged: what was good goes on until they are whole.
            log.warning("the certificate cannot be replaced folder=%s why=%s", self._folder, error)
        return self._newest


def _context(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    # Whoever comes back is looked at anew: a session must not outlive the certificate that began it.
    context.num_tickets = 0
    context.load_verify_locations(folder / AUTHORITY)
    context.load_cert_chain(folder / CERTIFICATE, folder / KEY)
    return context


def _stamp(folder: Path) -> Stamp:
    found = (os.stat(folder / name) for name in _FILES)
    return tuple((stat.st_ino, stat.st_mtime_ns) for stat in found)
