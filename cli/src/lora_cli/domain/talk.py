"""What a served name answers: the events of a stream, as text."""

import json
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lora_api.error_codes import ErrorCode
from lora_cli.errors import Failed

_DATA = "data:"
_END = "[DONE]"


@dataclass(frozen=True, slots=True)
class Piece:
    """A bit of an answer."""

    text: str
    finish_reason: str | None = None
    answer_id: str | None = None
    """By which the scalings of a mixture's answer can be asked for."""


def pieces(lines: Iterable[str]) -> Iterator[Piece]:
    """The answer in the server-sent events of a chat completion.

    Raises:
        Failed: the engine says in the middle that it cannot go on, or the stream ends before the answer does.
    """
    for line in lines:
        if not line.startswith(_DATA):
            continue
        data = line.removeprefix(_DATA).strip()
        if data == _END:
            return
        event = json.loads(data)
        if "error" in event:
            raise Failed(ErrorCode.LOAD_FAILED, f"the engine broke off: {event['error'].get('message', event)}")
        for choice in event.get("choices", ()):
            yield Piece(choice.get("delta", {}).get("content") or "", choice.get("finish_reason"), event.get("id"))
    raise Failed(ErrorCode.UNREACHABLE, "the answer broke off before its end; the pod may have ended")


def said_by(answer: Iterable[Piece]) -> Piece:
    """A whole answer, from its pieces."""
    found = list(answer)
    reasons = [piece.finish_reason for piece in found if piece.finish_reason is not None]
    answer_id = next((piece.answer_id for piece in found if piece.answer_id is not None), None)
    return Piece("".join(piece.text for piece in found), reasons[-1] if reasons else None, answer_id)


def visible(text: str) -> str:
    """The text without control characters, which a terminal would obey; lines and tabs stay."""
    return "".join(char for char in text if char in "\n\t" or unicodedata.category(char) != "Cc")
