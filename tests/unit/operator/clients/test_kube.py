"""What comes of answers of the API server, and of what stands before it."""

import asyncio
from http import HTTPStatus

import pytest
from kubernetes.aio import client

from lora_operator.clients import resources
from lora_operator.clients.kube import Kube, KubeError

QUANTITY = "failed to convert new object (team/smol; apps/v1, Kind=Deployment) to proper version: quantities must match"
SHAPE = "failed to create typed patch object (team/smol; apps/v1, Kind=Deployment): .spec.template: expected map"


@pytest.mark.parametrize(
    ("status", "message", "malformed", "refusal"),
    [
        (HTTPStatus.UNPROCESSABLE_ENTITY, "restartPolicy: unsupported", True, True),
        (HTTPStatus.BAD_REQUEST, "no such field", True, True),
        (HTTPStatus.INTERNAL_SERVER_ERROR, QUANTITY, True, True),
        (HTTPStatus.INTERNAL_SERVER_ERROR, SHAPE, True, True),
        (HTTPStatus.FORBIDDEN, "exceeded quota", False, True),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "etcdserver: request timed out", False, False),
        (0, "no answer", False, False),
    ],
)
def test_a_refusal_is_held_against_the_object_only_if_it_is_at_fault(
    status: int, message: str, *, malformed: bool, refusal: bool
) -> None:
    error = KubeError(status, message)
    assert (error.is_malformed, error.is_refusal) == (malformed, refusal)


async def test_nothing_is_sent_once_there_is_no_time_to_write() -> None:
    async with Kube(client.Configuration(host="https://127.0.0.254")) as kube:
        with pytest.raises(KubeError, match="not sent, since another operator may be at work"):
            await kube.writing_while(lambda: 0.0).create(resources.EVENTS, {"metadata": {"namespace": "team"}})
        with pytest.raises(KubeError, match="no answer from the API server"):
            await kube.writing_while(lambda: 0.0).list(resources.MODELS, "team")


@pytest.mark.parametrize(
    ("status", "header", "body", "words"),
    [
        ("200 OK", "Content-Type: text/html", "<html>log in</html>", "the answer is no JSON: <html>log in</html>"),
        ("429 Too Many Requests", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", "", "no answer from the API server"),
    ],
)
async def test_what_a_proxy_says_in_its_place_is_an_error_like_others(
    status: str, header: str, body: str, words: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as proxy:
        host, port = proxy.sockets[0].getsockname()
        async with Kube(client.Configuration(host=f"http://{host}:{port}")) as kube:
            with pytest.raises(KubeError, match=words):
                await kube.list(resources.MODELS, "team")
