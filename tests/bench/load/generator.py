"""Runs load against a server: open loop at the times of a schedule, or closed loop with so many clients."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from bench.load.arrivals import Ask
from bench.load.client import Client
from bench.load.responses import Response


async def open_loop(client: Client, schedule: Sequence[Ask]) -> list[Response]:
    """Sends each request when it is due, however many are under way; returns when all have ended."""
    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for ask in schedule:
            await asyncio.sleep(max(0.0, begun + ask.at - time.monotonic()))
            tasks.append(group.create_task(client.send(ask, begun + ask.at)))
    return [task.result() for task in tasks]


async def closed_loop(client: Client, asks: Iterator[Ask], clients: int, until: float) -> list[Response]:
    """`clients` clients that send the next request when theirs has ended, until a time in monotonic seconds."""
    done: list[Response] = []

    async def work() -> None:
        while time.monotonic() < until:
            done.append(await client.send(next(asks), time.monotonic()))

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(work())
    return done
