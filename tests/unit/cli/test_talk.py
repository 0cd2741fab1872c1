import json
from typing import Any

import pytest

from lora_api.error_codes import ErrorCode
from lora_cli.domain.talk import Piece, pieces, said_by, visible
from lora_cli.errors import Failed


def event(**choice: Any) -> str:
    return f"data: {json.dumps({'choices': [choice]})}"


def test_an_answer_is_the_text_of_its_events() -> None:
    stream = [
        event(delta={"role": "assistant", "content": ""}), "", ": a comment", event(delta={"content": "Ahoy"}), "",
        event(delta={"content": "!"}, finish_reason="stop"), "data: [DONE]", "never read",
    ]  # fmt: skip
    assert said_by(pieces(stream)) == Piece("Ahoy!", "stop")


def test_an_engine_that_breaks_off_is_no_answer() -> None:
    with pytest.raises(Failed, match="out of blocks") as failed:
        list(pieces([event(delta={"content": "Ah"}), 'data: {"error": {"message": "out of blocks"}}']))
    assert failed.value.code is ErrorCode.LOAD_FAILED


def test_a_stream_that_ends_before_its_end_is_no_answer() -> None:
    with pytest.raises(Failed, match="broke off") as failed:
        list(pieces([event(delta={"content": "Ah"})]))
    assert failed.value.code is ErrorCode.UNREACHABLE


def test_a_model_cannot_tell_the_terminal_what_to_do() -> None:
    assert visible("Ahoy\x1b[2J\x07,\r\n\tmatey \u2620\ufe0f\x9b1m") == "Ahoy[2J,\n\tmatey \u2620\ufe0f1m"
