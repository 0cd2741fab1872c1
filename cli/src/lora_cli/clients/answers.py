"""What servers answer over HTTP: refusals with their codes, and lines of what streams."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from lora_api.error_codes import ErrorCode, code_of_status
from lora_cli.domain.objects import Json
from lora_cli.errors import Failed

_PIECE_BYTES = 1 << 16
"""At most at once; what comes in chunks is handed on chunk by chunk."""


class Refused(Failed):
    """An answer with an error status, and what stood in it."""

    def __init__(self, status: int, message: str, body: Json, elsewhere: str = "") -> None:
        super().__init__(_code(status, body), message)
        self.status = status
        self.body = body
        self.elsewhere = elsewhere
        """Where the answer sends whoever asked."""


def read(response: Any) -> bytes:
    """The whole body of an answer of urllib3."""
    data: bytes = response.read(decode_content=True)
    response.release_conn()
    return data


def lines(response: Any) -> Iterator[str]:
    """The lines of an answer, each as soon as it arrives."""
    rest = b""
    with contextlib.closing(response):
        for piece in response.stream(_PIECE_BYTES, decode_content=True):
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
        if rest:
            yield rest.decode(errors="replace")


def refused(response: Any) -> Refused:
    """What an answer with an error status says: a metav1.Status, an error as OpenAI's API words it, or anything."""
    text = read(response).decode(errors="replace")
    elsewhere = response.headers.get("Location", "")
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return Refused(response.status, text[:300].strip() or "no words", {}, elsewhere)
    error = body.get("error")
    message = error.get("message") if isinstance(error, dict) else body.get("message")
    return Refused(response.status, str(message or text[:300]), body, elsewhere)


def _code(status: int, body: Json) -> ErrorCode:
    """The code in an answer; by its status where there is none that is known."""
    error = body.get("error")
    by_status = code_of_status(status) or ErrorCode.UNREACHABLE
    if isinstance(error, dict):
        said = error.get("code")
        return ErrorCode(said) if said in list(ErrorCode) else by_status
    # Only a pod says by 503 that it may be soon; who stands before it, that it does not answer.
    return ErrorCode.UNREACHABLE if by_status is ErrorCode.NOT_READY else by_status
