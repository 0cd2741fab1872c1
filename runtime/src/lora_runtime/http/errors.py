"""Errors in OpenAI's shape, with one of our codes in them, whoever made them."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from lora_api.error_codes import HTTP_STATUS, OPENAI_TYPE, ErrorCode, code_of, code_of_status
from lora_runtime.http.asgi import Message, Send

_LARGEST_BYTES = 1 << 16
"""Longer answers are not looked into: no error is."""
_JSON = b"application/json"


def refusal(
    code: ErrorCode, message: str, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An answer that says what was wrong.

    Args:
        code: what kind of thing it was.
        message: what, where, and what to do.
        status: another one than is usual for the code.
        headers: further ones.
    """
    error = {"message": message, "type": OPENAI_TYPE[code], "param": None, "code": code.value}
    return JSONResponse({"error": error}, status_code=status or HTTP_STATUS[code], headers=dict(headers or {}))


def coded(status: int, body: bytes) -> bytes:
    """The same error with a code of ours where vLLM repeats the status; what is no such error stays as it is.

    A `reason` beside it, if it is one of a condition, says more exactly what the code is.
    """
    try:
        answer = json.loads(body)
    except ValueError:
        return body
    if isinstance(answer, dict) and answer.keys() == {"detail"}:
        # The router's own, of a path or method that there is no route for.
        kind = HTTPStatus(status).phrase
        answer = {"error": {"message": str(answer["detail"]), "type": kind, "param": None, "code": status}}
    error: Any = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        return body
    reason = error.get("reason")
    code = code_of(reason) if reason else code_of_status(status)
    if code is None:
        return body
    error["code"] = code.value
    return json.dumps(answer, ensure_ascii=False).encode()


class CodedErrors:
    """Stands before `send`: errors leave with codes, all else as it comes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        """Held back, since the length of what follows may change."""
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        """See ASGI."""
        if message["type"] == "http.response.start" and _is_error(message):
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if message.get("more_body", False) and len(self._body) <= _LARGEST_BYTES:
                return
            start, self._start = self._start, None
            whole = not message.get("more_body", False)
            body = coded(start["status"], bytes(self._body)) if whole else bytes(self._body)
            await self._send(start if body == self._body else _with_length(start, len(body)))
            await self._send({**message, "body": body})
        else:
            await self._send(message)


def _is_error(start: Message) -> bool:
    types = [value for name, value in start.get("headers", ()) if name.lower() == b"content-type"]
    return start["status"] >= 400 and any(value.startswith(_JSON) for value in types)


def _with_length(start: Message, length: int) -> Message:
    others = [(name, value) for name, value in start.get("headers", ()) if name.lower() != b"content-length"]
    return {**start, "headers": [*others, (b"content-length", str(length).encode())]}
