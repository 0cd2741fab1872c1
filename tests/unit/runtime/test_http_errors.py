"""Errors leave with one of our codes, and OpenAI's shape stays what it is."""

import json
from typing import Any

import pytest

from lora_api.error_codes import HTTP_STATUS, ErrorCode
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.http.asgi import Message
from lora_runtime.http.errors import CodedErrors, coded, refusal


def vllm_says(status: int, **more: Any) -> bytes:
    error = {"message": "words", "type": "SomeError", "param": "model", "code": status, **more}
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize(
    ("status", "more", "code"),
    [
        (400, {}, "Invalid"),
        (404, {}, "NotFound"),
        (413, {}, "Invalid"),
        (422, {}, "Invalid"),
        (429, {}, "NotReady"),
        (503, {}, "NotReady"),
        (503, {"reason": Reason.SHAPE_MISMATCH}, "Incompatible"),
        (503, {"reason": Reason.STORE_FULL}, "OutOfMemory"),
        (503, {"reason": Reason.LOAD_FAILED}, "LoadFailed"),
        (500, {}, 500),
        (501, {}, 501),
    ],
)
def test_a_status_in_place_of_a_code_becomes_the_code_and_all_else_stays(status: int, more: Any, code: Any) -> None:
    before, after = (
        json.loads(body)["error"] for body in (vllm_says(status, **more), coded(status, vllm_says(status, **more)))
    )
    assert after == before | {"code": code}


def test_what_no_route_is_for_has_the_same_shape() -> None:
    assert json.loads(coded(405, b'{"detail": "Method Not Allowed"}')) == {
        "error": {"message": "Method Not Allowed", "type": "Method Not Allowed", "param": None, "code": "Invalid"}
    }


@pytest.mark.parametrize(
    "body",
    [
        b"no JSON",
        b"[]",
        b'{"error": "of TGI", "error_type": "validation"}',
        b'{"type": "error", "error": {"type": "of Anthropic", "message": "words"}}',
        b'{"error": {"message": "words", "code": "Unauthorized"}}',
    ],
)
def test_what_is_not_vllm_s_error_is_left_alone(body: bytes) -> None:
    assert coded(400, body) == body


@pytest.mark.parametrize("code", ErrorCode)
def test_a_refusal_has_its_code_its_status_and_openai_s_fields(code: ErrorCode) -> None:
    answer = refusal(code, "words")
    assert answer.status_code == HTTP_STATUS[code]
    error = json.loads(bytes(answer.body))["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == code


async def sent(*messages: Message) -> list[Message]:
    found: list[Message] = []

    async def send(message: Message) -> None:
        found.append(message)

    outgoing = CodedErrors(send)
    for message in messages:
        await outgoing(message)
    return found


JSON = [(b"content-type", b"application/json")]


async def test_answers_and_streams_pass_piece_by_piece() -> None:
    start = {"type": "http.response.start", "status": 200, "headers": JSON}
    piece = {"type": "http.response.body", "body": vllm_says(404), "more_body": True}
    assert await sent(start, piece) == [start, piece]


async def test_an_error_that_never_ends_is_not_collected() -> None:
    start = {"type": "http.response.start", "status": 500, "headers": JSON}
    piece = {"type": "http.response.body", "body": b"x" * 40_000, "more_body": True}
    first, second = await sent(start, piece, piece)
    assert first == start
    assert len(second["body"]) == 80_000
