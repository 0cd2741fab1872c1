"""What commands do when who is asked sends them elsewhere, or closes the connection: over real sockets."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Self

import pytest

from lora_api.error_codes import ErrorCode
from lora_cli.clients.broken import Dropped
from lora_cli.clients.server import Server
from lora_cli.clients.serving import Serving
from lora_cli.errors import Failed

KEY = "only-for-the-server-that-was-named"
CLOSE = b""
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def answer(body: str, status: str = "200 OK", *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", body)
    return "\r\n".join(lines).encode()


def said(text: str) -> str:
    delta = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    return f"data: {json.dumps(delta)}\n\n"


class Scripted:
    """Answers each connection with the next of some bytes, and closes it."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = answers
        self.heard: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Wakes who still waits for somebody; closing alone does not.
        with socket.create_connection(self._listener.getsockname()):
            self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        for sent in self._answers:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                if heard := connection.recv(1 << 16).decode():
                    self.heard.append(heard)
                    connection.sendall(sent)
                    connection.shutdown(socket.SHUT_WR)
                    # What is not read would reset the connection, and take what was sent with it.
                    while connection.recv(1 << 16):
                        pass


@pytest.fixture
def other() -> Iterator[Scripted]:
    with Scripted(answer("{}"), answer("{}")) as made:
        yield made


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_a_key_goes_to_nobody_but_the_server_that_was_named(other: Scripted, status: str) -> None:
    elsewhere = answer("", status, f"Location: {other.url}/lora/v1/adapters")
    with Scripted(elsewhere, elsewhere) as named:
        server = Server(named.url, KEY)
        with pytest.raises(Failed, match=f"sends on to {other.url}") as failed:
            server.request("GET", "/lora/v1/adapters")
        assert failed.value.code is ErrorCode.UNREACHABLE
        with pytest.raises(Failed, match="which is not followed"):
            list(server.lines("POST", "/v1/chat/completions", body={}, patience_seconds=5))
        assert KEY in named.heard[0]
    assert other.heard == []


def test_what_only_looks_is_asked_again_on_a_connection_that_was_closed_and_a_change_is_not() -> None:
    with Scripted(CLOSE, answer('{"a": 1}')) as named:
        assert Server(named.url, None).request("GET", "/x") == {"a": 1}
    with Scripted(CLOSE, answer("{}")) as named:
        with pytest.raises(Failed, match="it closed the connection"):
            Server(named.url, None).request("PUT", "/x", body={})
        assert len(named.heard) == 1


def asked(*answers: bytes) -> tuple[str, int]:
    with Scripted(*answers) as named:
        pieces = Serving(Server(named.url, None), "pirate").chat([{"role": "user", "content": "Who?"}], {})
        return "".join(piece.text for piece in pieces), len(named.heard)


def test_a_question_is_asked_again_that_met_a_closed_connection() -> None:
    assert asked(CLOSE, answer(said("Aye") + "data: [DONE]\n\n")) == ("Aye", 2)


def test_a_question_is_asked_again_of_whose_answer_only_the_begin_came() -> None:
    assert asked(BEGUN, answer(said("Aye") + "data: [DONE]\n\n")) == ("Aye", 2)


def test_it_is_asked_again_only_once() -> None:
    with pytest.raises(Dropped):
        asked(CLOSE, CLOSE, answer(said("late")))


def test_an_answer_that_breaks_off_is_not_begun_anew() -> None:
    half = BEGUN + f"{len(said('Aye')):x}\r\n{said('Aye')}\r\n".encode()
    with pytest.raises(Failed, match="closed the connection within its answer"):
        asked(half, answer(said("Aye")))


def test_why_nobody_answers_is_said_without_numbers_of_the_system() -> None:
    with pytest.raises(Failed, match="connection refused") as failed:
        Server("http://127.0.0.1:9", None).request("GET", "/x")
    assert "Errno" not in str(failed.value)
