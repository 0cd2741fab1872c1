"""A client that asks one pod, past the Service, from before it is ready."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from e2e.conftest import PROMPT

_PAUSE_SECONDS = 0.05
_ANSWER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Look:
    """What the pod answered to the kubelet's question, and to a client's right after it."""

    ready: bool
    status: int


@contextmanager
def asking(address: str, model: str) -> Iterator[list[Look]]:
    """Asks meanwhile; when nobody listens, it looks again."""
    looks: list[Look] = []
    over = threading.Event()
    body = {"model": model, "prompt": list(PROMPT), "max_tokens": 1, "temperature": 0}

    def ask_on() -> None:
        with httpx.Client(base_url=f"http://{address}:8000", timeout=_ANSWER_SECONDS) as client:
            while not over.wait(_PAUSE_SECONDS):
                try:
                    ready = client.get("/ready").is_success
                    looks.append(Look(ready, client.post("/v1/completions", json=body).status_code))
                except httpx.ConnectError:
                    continue

    client = threading.Thread(target=ask_on)
    client.start()
    try:
        yield looks
    finally:
        over.set()
        client.join(2 * _ANSWER_SECONDS)
