"""Asks one pod which revision answers: over and over, as a client would, and at once when the pod says that it is another."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import aiohttp

from bench.control.printed import Printed
from bench.control.settings import TOKENS
from bench.served.reference import Prompt

_ANSWER_SECONDS = aiohttp.ClientTimeout(total=60)
_OK = 200
_ENOUGH_NEW = 3
"""So many answers in a row must be of the new revision."""
_WARM_UP = 3
_ANSWER_TAKES_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Sighting:
    """One answer. Times are monotonic seconds."""

    started: float
    ended: float
    status: int
    tokens: tuple[int, ...]


class Observer:
    """One pod's serving port."""

    def __init__(self, pod: str, ip: str, printed: Printed, pause_seconds: float) -> None:
        """Takes the pod's name, address and log, and how long to rest between two questions."""
        self.pod = pod
        self._printed = printed
        self._pause = pause_seconds
        # Takes less of the machine than httpx does, and so from what is measured.
        self._http = aiohttp.ClientSession(f"http://{ip}:8000", timeout=_ANSWER_SECONDS)

    async def close(self) -> None:
        """Closes its connections."""
        self._printed.close()
        await self._http.close()

    async def ask(self, name: str, prompt: Prompt) -> Sighting:
        """What the pod answers now."""
        body = {"model": name, "prompt": list(prompt), "max_tokens": TOKENS, "temperature": 0,
                "ignore_eos": True, "return_token_ids": True}  # fmt: skip
        started = time.monotonic()
        async with self._http.post("/v1/completions", json=body) as answer:
            said = await answer.read()
        ended = time.monotonic()
        tokens = tuple(json.loads(said)["choices"][0]["token_ids"]) if answer.status == _OK else ()
        return Sighting(started, ended, answer.status, tokens)

    async def warm_up(self, name: str, prompt: Prompt) -> None:
        """Asks a few times, whatever the answers are."""
        for _ in range(_WARM_UP):
            await self.ask(name, prompt)

    async def watch(
        self, name: str, prompt: Prompt, is_new: Callable[[Sighting], bool], until: float, says: str, random: Random
    ) -> list[Sighting]:
        """Every answer until new ones have come a few times in a row, or until a time in monotonic seconds.

        Args:
            name: of the adapter.
            prompt: what to ask.
            is_new: whether an answer is what the change leads to.
            until: when to give up.
            says: what the pod prints when it goes over; then it is asked without a rest before.
            random: chooses when to begin, so that pods are not asked in step.
        """
        self._printed.skip()
        told = asyncio.create_task(self._printed.until(says))
        seen: list[Sighting] = []
        new = 0
        try:
            await asyncio.wait({told}, timeout=_part_of_a_round(random, self._pause))
            while new < _ENOUGH_NEW and time.monotonic() < until:
                seen.append(await self.ask(name, prompt))
                new = new + 1 if is_new(seen[-1]) else 0
                if not told.done():
                    await asyncio.wait({told}, timeout=self._pause)
                elif new:
                    await asyncio.sleep(self._pause)
        finally:
            told.cancel()
        return seen


async def any_moment(random: Random, pause_seconds: float) -> None:
    """Waits for some part of a round.

    Changes that all came at the same moment of it would all find the engines at the same work.
    """
    await asyncio.sleep(_part_of_a_round(random, pause_seconds))


def _part_of_a_round(random: Random, pause_seconds: float) -> float:
    """Seconds, of a question, its answer and the pause."""
    return random.uniform(0, _ANSWER_TAKES_SECONDS + pause_seconds)
