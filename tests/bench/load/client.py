"""Sends one request and notes when what came back."""

import json
import time
from collections.abc import Sequence
from typing import Any

import httpx

from bench.load.arrivals import Ask
from bench.load.responses import Response
from bench.served.reference import Prompt
from support.event_stream import lines_of_async

REQUEST_SECONDS = 120.0


class Client:
    """A client of one server's OpenAI API."""

    def __init__(self, url: str, prompts: Sequence[Prompt]) -> None:
        """Takes the server's URL, and the prompts that asks name by their index."""
        self._prompts = prompts
        # The server closes connections that were idle for five seconds, perhaps just when one is to be used again.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=2)
        self._http = httpx.AsyncClient(base_url=url, timeout=REQUEST_SECONDS, limits=limits)

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def send(self, ask: Ask, due: float) -> Response:
        """One request; never raises for what the server or the connection does."""
        body = {
            "model": ask.model,
            "prompt": list(self._prompts[ask.prompt]),
            "max_tokens": ask.tokens,
            "temperature": 0,
            "ignore_eos": True,
            "return_token_ids": True,
            "stream": ask.stream,
        }
        started = time.monotonic()
        try:
            if ask.stream:
                return await self._stream(ask, body, due, started)
            answer = await self._http.post("/v1/completions", json=body)
            ended = time.monotonic()
            if answer.status_code != 200:
                return Response(ask, due, started, ended, answer.status_code, error=answer.text[:500])
            value = answer.json()
            choice = value["choices"][0]
            tokens = tuple(choice["token_ids"])
            return Response(ask, due, started, ended, 200, tokens, value["model"], choice["text"])
        except (httpx.HTTPError, ValueError, KeyError, IndexError) as error:
            return Response(ask, due, started, time.monotonic(), None, error=f"{type(error).__name__}: {error}")

    async def _stream(self, ask: Ask, body: dict[str, Any], due: float, started: float) -> Response:
        tokens: list[int] = []
        times: list[float] = []
        counts: list[int] = []
        text, model, error = "", "", "the stream ended without [DONE]"
        async with self._http.stream("POST", "/v1/completions", json=body) as answer:
            if answer.status_code != 200:
                said = (await answer.aread()).decode(errors="replace")
                return Response(ask, due, started, time.monotonic(), answer.status_code, error=said[:500])
            async for line in lines_of_async(answer):
                if line == "data: [DONE]":
                    error = ""
                elif line.startswith("data: "):
                    value = json.loads(line[6:])
                    if "error" in value:
                        error = str(value["error"])
                        break
                    choice = value["choices"][0]
                    model, text = value["model"], text + choice["text"]
                    if choice["token_ids"]:
                        times.append(time.monotonic())
                        counts.append(len(choice["token_ids"]))
                        tokens += choice["token_ids"]
        status = None if error else 200
        return Response(
            ask, due, started, time.monotonic(), status, tuple(tokens), model, text, error, tuple(times), tuple(counts)
        )
