"""The programs that are built for tests."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from local_cluster import binaries
from local_cluster.layout import cache_root
from local_cluster.progress import Silence

_START_SECONDS = 20


@contextmanager
def running(
    name: str, arguments: list[str], log: Path, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """One of the programs that are built for tests, until it answers and no longer than the block."""
    program = binaries.ensure([name], cache_root(), Silence())[name]
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [program, *arguments], stdout=out, stderr=subprocess.STDOUT, env=dict(environment or {})
        ) as process,
    ):
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _answers(port):
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]  # noqa: PT018
                time.sleep(0.02)
            yield
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
    except httpx.HTTPError:
        return False
    return True
