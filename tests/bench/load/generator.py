"""Runs load against a server: open loop at the times of a schedule, or closed loop with so many clients."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

from bench.load.arrivals import Ask
from bench.load.client import Client
from bench.load.responses import Response

Told = Callable[[Response], None]


async def open_loop(client: Client, schedule: Sequence[Ask], told: Told) -> list[Response]:
    """Sends each request when it is due, however many are under way; returns when all have ended."""
    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for ask in schedule:
            await asyncio.sleep(max(0.0, begun + ask.at - time.monotonic()))
            tasks.append(group.create_task(_send(client, ask, begun + ask.at, told)))
    return [task.result() for task in tasks]


async def closed_loop(client: Client, asks: Iterator[Ask], clients: int, count: int, told: Told) -> list[Response]:
    """`clients` clients that send the next request when theirs has ended, `count` requests in all."""
    left = iter(range(count))
    done: list[Response] = []

    async def work() -> None:
        for _ in left:
            done.append(await _send(client, next(asks), time.monotonic(), told))

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(work())
    return done


async def _send(client: Client, ask: Ask, due: float, told: Told) -> Response:
    response = await client.send(ask, due)
    told(response)
    return response
