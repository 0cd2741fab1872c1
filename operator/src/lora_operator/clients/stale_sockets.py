"""What a connection that was given up may do to the next one."""

import contextlib
from collections.abc import Iterator

import aiohttp

_STALE = "is used by transport"


@contextlib.contextmanager
def failing_as_connections_do() -> Iterator[None]:
    """Around requests: gives uvloop's RuntimeError the type of every other failure to connect.

    uvloop may hold on to the number of a socket whose connection was cancelled as it began, and refuses the next socket with that
    number (uvloop issue 653). Another try gets another number.

    Raises:
        aiohttp.ClientConnectionError: that has happened.
    """
    try:
        yield
    except RuntimeError as error:
        if _STALE not in str(error):
            raise
        raise aiohttp.ClientConnectionError(str(error)) from error
