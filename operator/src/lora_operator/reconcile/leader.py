"""Getting the Lease, keeping it, and giving it back."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import assert_never

from lora_operator.clients.clock import Clock
from lora_operator.clients.kube import KubeError
from lora_operator.clients.leases import Leases
from lora_operator.clients.moments import micro_time
from lora_operator.domain import leadership
from lora_operator.domain.leadership import Claim, Lease, Renew, Terms, Wait

_logger = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
"""A Lease is looked at this often at least, although a change of it is told: those who tell may be cut off."""


class LeadershipLost(Exception):
    """Another operator is at work: this process must end."""


class Leader:
    """One candidate for the Lease. To be used from one event loop: `win`, `hold`, and at the end `resign`."""

    def __init__(
        self,
        leases: Leases,
        name: str,
        clock: Clock,
        elapsed: Callable[[], float],
        terms: Terms,
        container: str = "",
    ) -> None:
        """Takes the Lease, a name that no other process has, the clock for people, and one that never jumps.

        The name begins with that of the container, if there is one: no two of its processes run at the same time.
        """
        self._container = container
        self._leases = leases
        self._name = name
        self._clock = clock
        self._elapsed = elapsed
        self._terms = terms
        self._held: Lease | None = None
        self._renewed = 0.0

    @property
    def leads(self) -> bool:
        """Whether this process holds the Lease, as far as it knows."""
        return self._held is not None

    def seconds_to_write(self) -> float:
        """How long a write that is begun now may take; 0 or less when none may be begun."""
        if self._held is None:
            return 0.0
        return leadership.seconds_to_write(self._renewed, self._elapsed(), self._terms)

    async def win(self) -> None:
        """Returns once the Lease is held."""
        seen: leadership.Sighting | None = None
        told = ""
        while self._held is None:
            try:
                lease = await self._leases.read()
                seen = leadership.sighted(seen, lease, self._elapsed())
                match leadership.candidate_step(seen, self._elapsed(), self._container):
                    case Claim(transitions=transitions):
                        now = micro_time(self._clock.now())
                        await self._write(Lease(self._name, self._terms.lease, now, transitions, acquired=now))
                    case Wait(seconds=seconds):
                        if lease is not None and lease.holder != told:
                            told = lease.holder
                            _logger.info("standing by: %s is at work", told)
                        await self._leases.changed(min(seconds, _LOOK_SECONDS))
                    case step:
                        assert_never(step)
            except KubeError as error:
                if error.status != HTTPStatus.CONFLICT:
                    _logger.warning("the Lease is out of reach: %s", error)
                await asyncio.sleep(self._terms.retry)
        _logger.info("at work as %s", self._name)

    async def hold(self) -> None:
        """Renews for ever. While that does not succeed nothing may be written.

        Raises:
            LeadershipLost: somebody else has it.
        """
        tried = self._renewed
        while self._held is not None:
            match leadership.holder_step(self._renewed, tried, self._elapsed(), self._terms):
                case Wait(seconds=seconds):
                    await asyncio.sleep(seconds)
                case Renew(seconds=seconds):
                    tried = self._elapsed()
                    await self._renew(self._held, seconds)
                case step:
                    assert_never(step)

    async def resign(self) -> None:
        """Gives the Lease back, if it is held: the next candidate need not wait. No write may be under way."""
        if self.seconds_to_write() <= 0 or self._held is None:
            return
        given_up, self._held = self._held, None
        now = micro_time(self._clock.now())
        with contextlib.suppress(KubeError):
            await self._leases.write(replace(given_up, holder="", seconds=1, renewed=now), self._terms.retry)
            _logger.info("the Lease is given back")

    async def _renew(self, held: Lease, seconds: float) -> None:
        try:
            await self._write(replace(held, renewed=micro_time(self._clock.now())), seconds)
        except KubeError as error:
            _logger.warning("the Lease is not renewed: %s", error)
            if error.status == HTTPStatus.CONFLICT:
                # It was edited by hand, or an answer was lost on its way, or it is somebody else's.
                await self._look_again()

    async def _look_again(self) -> None:
        try:
            found = await self._leases.read()
        except KubeError:
            return
        if found is not None and leadership.is_lost(found, self._name):
            self._held = None
            raise LeadershipLost(f"the Lease is held by {found.holder or 'nobody'}, and no longer by {self._name}")

    async def _write(self, lease: Lease, seconds: float | None = None) -> None:
        asked = self._elapsed()
        await self._leases.write(lease, self._terms.write if seconds is None else seconds)
        # Counted from before it was sent: nobody else can have seen it earlier.
        self._held, self._renewed = lease, asked
