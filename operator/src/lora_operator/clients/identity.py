"""What the operator shows to pods: a client certificate of its own authority, replaced before it ends."""

import asyncio
import logging
import ssl
from datetime import timedelta

from lora_operator.clients.certificates import Authority, client_context, present
from lora_operator.clients.clock import Clock

_logger = logging.getLogger(__name__)

_NAME = "operator"
_LONGEST_NAP_SECONDS = 600.0
"""The clock of the machine may jump while this one sleeps."""


class Identity:
    """A TLS context whose new connections show a certificate that is good now."""

    def __init__(self, authority: Authority, lifetime: timedelta, clock: Clock) -> None:
        self._authority = authority
        self._lifetime = lifetime
        self._clock = clock
        leaf = authority.client(_NAME, clock.now(), lifetime)
        self._renew_at = leaf.renew_at
        self.context: ssl.SSLContext = client_context(authority, leaf)

    async def renew_for_ever(self) -> None:
        """Replaces the certificate whenever it is due. Connections that are open are not touched."""
        while True:
            left = (self._renew_at - self._clock.now()).total_seconds()
            if left > 0:
                await asyncio.sleep(min(left, _LONGEST_NAP_SECONDS))
                continue
            leaf = self._authority.client(_NAME, self._clock.now(), self._lifetime)
            present(self.context, leaf)
            self._renew_at = leaf.renew_at
            _logger.info("renewed the operator's own certificate next=%s", leaf.renew_at.isoformat())
