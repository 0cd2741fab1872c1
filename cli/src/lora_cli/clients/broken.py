"""Why somebody was not reached, in words: of what libraries and the system raise."""

import http.client
import json
from collections.abc import Iterator

from urllib3 import exceptions

from lora_api.error_codes import ErrorCode
from lora_cli.errors import Failed

_DROPPED = (ConnectionResetError, BrokenPipeError, exceptions.ProtocolError)
"""The last is of a connection that is closed before an answer, or within it."""


class Dropped(Failed):
    """Somebody closed the connection who seemed to be there: whoever asks anew gets another one."""


def unreachable(who: str, error: BaseException, then: str) -> Failed:
    """What a command ends with that does not reach somebody.

    Args:
        who: is not reached.
        error: what the attempt ended with.
        then: the command to type next.
    """
    kind = Dropped if _was_dropped(error) else Failed
    message = f"{who} does not answer, or not to the end: {in_words(error)}"
    return kind(ErrorCode.UNREACHABLE, message, then=then)


def in_words(error: BaseException) -> str:
    """What went wrong, without numbers of the system's and names of classes."""
    chain = tuple(_chain(error))
    for found in chain:
        match found:
            case exceptions.NameResolutionError():
                return "nobody knows its name"
            case exceptions.ConnectTimeoutError() if not isinstance(found, exceptions.NewConnectionError):
                return "it takes no connection"
            case exceptions.ReadTimeoutError():
                return "it was silent for too long"
            case exceptions.SSLError():
                return f"TLS fails: {found}"
            case json.JSONDecodeError():
                return "what it answers is no JSON"
    if any(isinstance(found, http.client.IncompleteRead) or "prematurely" in str(found) for found in chain):
        return "it closed the connection within its answer"
    if _was_dropped(error):
        return "it closed the connection"
    said = next((found.strerror for found in chain if isinstance(found, OSError) and found.strerror), None)
    return said[:1].lower() + said[1:] if said else str(error)


def _was_dropped(error: BaseException) -> bool:
    return any(isinstance(found, _DROPPED) for found in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it comes from."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        # urllib3 keeps the system's own error as an argument, too.
        inner = next((one for one in seen.args if isinstance(one, BaseException)), None)
        seen = seen.__cause__ or seen.__context__ or inner
