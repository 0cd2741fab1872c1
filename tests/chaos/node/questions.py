"""Asks a pod by inference what it serves."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx

from chaos.node.answers import TOKENS, Answers
from chaos.sightings import Answered, Wanted
from chaos.wishes import Content

T = TypeVar("T")
_NOT_SERVED = (httpx.codes.NOT_FOUND, httpx.codes.SERVICE_UNAVAILABLE)


class _Failing(Exception):
    """The answer is an error, or is not of the form that it should have."""


class Questions:
    """For the pods of one model."""

    def __init__(self, http: httpx.AsyncClient, answers: Answers, model: str) -> None:
        """Takes a client, whoever knows the right answers, and the name of the base model."""
        self._http, self._answers, self._model = http, answers, model

    async def ask(self, server: str, boot: str, wanted: Mapping[str, Wanted]) -> Answered | None:
        """What the server answers to each of its names; None when it cannot be reached, or does not say which they are."""
        try:
            there = sorted(_read(await self._http.get(f"{server}/v1/models"), _names) - {self._model})
        except httpx.RequestError:
            return None
        except _Failing:
            return Answered(boot, {}, failing=frozenset(wanted))
        found = await asyncio.gather(*(self._about(server, name, wanted.get(name)) for name in there))
        told = dict(zip(there, found, strict=True))
        return Answered(
            boot,
            {name: contents for name, contents in told.items() if isinstance(contents, frozenset)},
            failing=frozenset(name for name, contents in told.items() if isinstance(contents, _Failing)),
            silent=frozenset(name for name, contents in told.items() if isinstance(contents, httpx.RequestError)),
        )

    async def _about(
        self, server: str, name: str, wanted: Wanted | None
    ) -> frozenset[Content] | _Failing | httpx.RequestError | None:
        """Which contents the answer may be of; None when nothing is served under the name; why there is none."""
        ever = () if wanted is None else wanted.ever
        prompt = self._answers.telling(None if wanted is None else wanted.content, ever)
        body = {"model": name, "prompt": list(self._answers.prompts[prompt]), "max_tokens": TOKENS, "temperature": 0,
                "ignore_eos": True, "return_token_ids": True}  # fmt: skip
        try:
            answer = await self._http.post(f"{server}/v1/completions", json=body)
        except httpx.RequestError as silence:
            return silence
        if answer.status_code in _NOT_SERVED:
            return None
        try:
            return self._answers.read(prompt, _read(answer, _tokens), ever)
        except _Failing as failing:
            return failing


def _read(answer: httpx.Response, parts: Callable[[Any], T]) -> T:
    try:
        return parts(answer.raise_for_status().json())
    except (httpx.HTTPStatusError, ValueError, LookupError, TypeError) as error:
        raise _Failing from error


def _names(listed: Any) -> set[str]:
    return {card["id"] for card in listed["data"]}


def _tokens(completion: Any) -> tuple[int, ...]:
    return tuple(completion["choices"][0]["token_ids"])
