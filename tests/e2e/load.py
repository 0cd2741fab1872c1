"""Clients that ask a Service again and again, and hold each answer against the whole one."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from e2e.conftest import MODEL, PROMPT, World
from support.event_stream import lines_of

STREAMED_TOKENS = 100
SHORT_TOKENS = 4
"""Few, so that many connections are made in the second in which a pod goes."""
_PAUSE_SECONDS = 0.02
_KINDS = [(stream, kept) for stream in (False, True) for kept in (False, True)]
"""Whether a client streams, and whether it keeps its connection."""
_CLIENTS_OF_A_KIND = 2


@dataclass
class Load:
    """What the clients saw so far."""

    url: str
    whole: dict[str, tuple[list[int], str]]
    """By model: the tokens of a short answer, and the text of a streamed one."""
    answers: list[tuple[str, bool, bool]] = field(default_factory=list)
    """The model and the kind of client of each."""
    wrong: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, world: World, *adapters: str) -> Load:
        """Of the model and adapters that lie in the volume under their name, through the Service."""
        url = f"http://{world.service_ip()}:8000/v1/completions"
        parts = {MODEL: [], **{name: [(name, 1.0)] for name in adapters}}
        return cls(
            url,
            {
                name: (world.reference(*of)[:SHORT_TOKENS], text_of(url, name, STREAMED_TOKENS))
                for name, of in parts.items()
            },
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Clients of each kind ask for one model after the other meanwhile; none may be left without a whole answer."""
        clients = [threading.Thread(target=self._ask_on, args=kind) for kind in _KINDS * _CLIENTS_OF_A_KIND]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self.over.set()
            for client in clients:
                client.join(180)
        assert self.wrong == []
        assert set(self.answers) == {(model, *kind) for model in self.whole for kind in _KINDS}

    def _ask_on(self, stream: bool, kept: bool) -> None:
        models = itertools.cycle(self.whole)
        with httpx.Client(timeout=120) as client:
            while not self.over.wait(_PAUSE_SECONDS):
                model = next(models)
                body = {"model": model, "prompt": list(PROMPT), "temperature": 0, "ignore_eos": True}
                headers = {} if kept else {"Connection": "close"}
                try:
                    if stream:
                        found = streamed(client, self.url, body | {"max_tokens": STREAMED_TOKENS}, headers)
                        right = found == self.whole[model][1]
                    else:
                        short = body | {"max_tokens": SHORT_TOKENS, "return_token_ids": True}
                        answer = client.post(self.url, json=short, headers=headers).raise_for_status().json()
                        right = answer["choices"][0]["token_ids"] == self.whole[model][0]
                except (httpx.HTTPError, ValueError, KeyError) as error:
                    self.wrong.append(f"{model} stream={stream} kept={kept}: {error!r}")
                else:
                    if not right:
                        self.wrong.append(f"{model} stream={stream} kept={kept}: torn")
                    self.answers.append((model, stream, kept))


def streamed(client: httpx.Client, url: str, body: dict[str, object], headers: dict[str, str] | None = None) -> str:
    """The text of a stream that came to its end."""
    with client.stream("POST", url, json=body | {"stream": True}, headers=headers) as answer:
        answer.raise_for_status()
        lines = [line.removeprefix("data: ") for line in lines_of(answer) if line]
    if lines[-1:] != ["[DONE]"]:
        raise ValueError(f"the stream ends with {lines[-1:]}")
    return "".join(json.loads(line)["choices"][0]["text"] for line in lines[:-1])


def text_of(url: str, model: str, max_tokens: int) -> str:
    """The text of an answer that comes in one piece."""
    body = {"model": model, "prompt": list(PROMPT), "max_tokens": max_tokens, "temperature": 0, "ignore_eos": True}
    answer = httpx.post(url, json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["text"])
