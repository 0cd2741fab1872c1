"""Candidates, and an API server that keeps one Lease."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from http import HTTPStatus
from typing import Any

import pytest

from lora_operator.clients.clock import SystemClock, elapsed
from lora_operator.clients.kube import NOT_THERE, Kube, KubeError, Manifest, Resource
from lora_operator.clients.leases import Leases
from lora_operator.domain.leadership import Terms
from lora_operator.reconcile.leader import Leader, LeadershipLost

QUICK = Terms(lease=1, write=0.25, renew=0.05, retry=0.02)


class OneLease(Kube):
    """An API server with one object, which it guards by its version, and which nobody can reach while it is away."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.away = False
        self._version = 1

    async def get(
        self, resource: Resource, namespace: str, name: str, *, metadata_only: bool = False
    ) -> dict[str, Any] | None:
        self._reach()
        return self.stored

    async def apply(
        self,
        resource: Resource,
        manifest: Manifest,
        *,
        field_manager: str,
        subresource: str | None = None,
        metadata_only: bool = False,
    ) -> dict[str, Any]:
        self._reach()
        there = NOT_THERE if self.stored is None else self.stored["metadata"]["resourceVersion"]
        if manifest["metadata"]["resourceVersion"] != there:
            raise KubeError(HTTPStatus.CONFLICT, "the object has been modified")
        self._version += 1
        self.stored = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(self._version)}}
        return self.stored

    async def watch(self, *_: Any, after: str | None, **__: Any) -> AsyncGenerator[dict[str, Any], None]:
        told = None
        while True:
            self._reach()
            if after is not None:
                raise KubeError(410, "too old resource version")  # as after its restart
            if self.stored is not told:
                told = self.stored
                yield {"type": "MODIFIED", "object": told}
            await asyncio.sleep(0.01)

    @property
    def spec(self) -> dict[str, Any]:
        assert self.stored is not None
        found: dict[str, Any] = self.stored["spec"]
        return found

    def _reach(self) -> None:
        if self.away:
            raise KubeError(0, "no answer")


def a_candidate(server: OneLease, name: str) -> Leader:
    return Leader(Leases(server, "operators", "lora-operator"), name, SystemClock(), elapsed, QUICK)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  # of many kinds
            await asyncio.sleep(0.01)


async def wins(leader: Leader) -> None:
    async with asyncio.timeout(10):
        await leader.win()


async def test_the_first_gets_the_lease_and_may_write() -> None:
    server = OneLease()
    leader = a_candidate(server, "a")
    assert leader.seconds_to_write() == 0
    await wins(leader)
    assert leader.leads
    assert 0 < leader.seconds_to_write() <= QUICK.lease
    assert (server.spec["holderIdentity"], server.spec["leaseTransitions"]) == ("a", 0)


async def test_of_two_at_once_one_gets_it() -> None:
    server = OneLease()
    candidates = [a_candidate(server, name) for name in "ab"]
    tasks = [asyncio.create_task(wins(candidate)) for candidate in candidates]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert sum(candidate.leads for candidate in candidates) == 1
    for task in tasks:
        task.cancel()


async def test_the_next_gets_it_as_soon_as_it_is_given_back() -> None:
    server = OneLease()
    first, second = a_candidate(server, "a"), a_candidate(server, "b")
    await wins(first)
    waiting = asyncio.create_task(wins(second))
    holding = asyncio.create_task(first.hold())
    await asyncio.sleep(0)
    holding.cancel()
    await first.resign()
    given_back = elapsed()
    await waiting
    assert elapsed() - given_back < QUICK.lease / 2
    assert (server.spec["holderIdentity"], server.spec["leaseTransitions"]) == ("b", 1)
    assert first.seconds_to_write() == 0


async def test_a_holder_that_renews_is_left_alone_and_one_that_does_not_is_followed() -> None:
    server = OneLease()
    first, second = a_candidate(server, "a"), a_candidate(server, "b")
    await wins(first)
    holding = asyncio.create_task(first.hold())
    waiting = asyncio.create_task(wins(second))
    done, _ = await asyncio.wait([waiting], timeout=1.2 * QUICK.lease)
    assert not done
    holding.cancel()
    await waiting
    assert first.seconds_to_write() == 0


async def test_a_holder_that_cannot_renew_must_not_write_until_it_can_again() -> None:
    server = OneLease()
    leader = a_candidate(server, "a")
    await wins(leader)
    server.away, begun = True, elapsed()
    holding = asyncio.create_task(leader.hold())
    await until(lambda: leader.seconds_to_write() == 0)
    assert elapsed() - begun < QUICK.lease
    await leader.resign()
    server.away = False
    assert server.spec["holderIdentity"] == "a", "what may be somebody else's by now is not given back"
    await until(lambda: leader.seconds_to_write() > 0)
    assert server.spec["leaseTransitions"] == 0
    holding.cancel()


async def test_a_holder_that_could_not_renew_while_another_got_it_ends() -> None:
    server = OneLease()
    first, second = a_candidate(server, "a"), a_candidate(server, "b")
    await wins(first)
    await wins(second)
    assert first.seconds_to_write() == 0
    with pytest.raises(LeadershipLost, match="held by b, and no longer by a"):
        await first.hold()


async def test_a_holder_whose_lease_was_taken_by_force_ends_at_its_next_renewal() -> None:
    server = OneLease()
    leader = a_candidate(server, "a")
    await wins(leader)
    server.stored = {"metadata": {"resourceVersion": "99"}, "spec": {"holderIdentity": "b"}}
    with pytest.raises(LeadershipLost, match="held by b"):
        await leader.hold()


async def test_a_holder_whose_lease_was_edited_or_deleted_goes_on() -> None:
    server = OneLease()
    leader = a_candidate(server, "a")
    await wins(leader)
    holding = asyncio.create_task(leader.hold())
    for edited in ({"metadata": {"resourceVersion": "99"}, "spec": {"holderIdentity": "a"}}, None):
        server.stored = edited
        await until(lambda edited=edited: server.stored is not edited)  # type: ignore[misc]
        assert server.spec["holderIdentity"] == "a"
    assert not holding.done()
    holding.cancel()
