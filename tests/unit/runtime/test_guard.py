import asyncio
import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from lora_runtime.engine.in_flight import InFlight
from lora_runtime.http.api_keys import ApiKeys
from lora_runtime.http.asgi import App, Message, Receive, Scope, Send
from lora_runtime.http.guard import Guard, is_public
from lora_runtime.metrics.labels import AdapterLabels
from lora_runtime.metrics.traffic import Traffic
from lora_runtime.observer import Outcome


@pytest.mark.parametrize("path", [
    "/v1/load_lora_adapter", "/v1/unload_lora_adapter/", "/adapters", "/adapters/x", "//adapters", "/invocations",
    "/collective_rpc", "/sleep", "/scale_elastic_ep", "/inference/v1/abort_requests", "/fault_tolerance/apply",
    "/v1", "/v1/modelsx", "/V1/models", "/v1/chat", "/what/a/later/release/adds",
])  # fmt: skip
def test_what_is_not_known_to_be_for_clients_is_hidden(path: str) -> None:
    assert not is_public(path)


@pytest.mark.parametrize("path", [
    "/v1/models", "/v1/models/", "/v1/chat/completions", "/v1/chat/completions/batch", "/v1/responses/resp_1/cancel",
    "/health", "/ready", "/metrics", "/metrics/", "/", "", "/generate", "/generate_stream", "/info",
])  # fmt: skip
def test_what_clients_and_kubelets_need_is_not(path: str) -> None:
    assert is_public(path)


class Server:
    """A guarded app that does what the test says, and what was counted of it."""

    def __init__(self, app: App, keys: ApiKeys | None = None) -> None:
        self.registry = CollectorRegistry()
        self.in_flight = InFlight()
        self.guard = Guard(app, self.in_flight, Traffic(AdapterLabels("base", 5), self.registry), keys)
        self.sent: list[Message] = []

    async def ask(self, *incoming: str, **scope: object) -> None:
        messages = iter(incoming)

        async def receive() -> Message:
            return {"type": next(messages)}

        async def send(message: Message) -> None:
            self.sent.append(message)

        await self.guard({"type": "http", "path": "/v1/completions"} | scope, receive, send)

    @property
    def outcomes(self) -> dict[str, float]:
        samples = [sample for family in self.registry.collect() for sample in family.samples]
        return {s.labels["outcome"]: s.value for s in samples if s.name == "lora_runtime_requests_total" and s.value}


def an_answer(server: list[Server], status: int, *, asks: str | None = "a", hears: int = 0) -> App:
    """Answers with a status; `hears` so many messages of the client before."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if asks is not None:
            server[0].in_flight.asks(asks)
        for _ in range(hears):
            await receive()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"null"})

    return app


async def answered(status: int, *, asks: str | None = "a", incoming: tuple[str, ...] = ()) -> Server:
    servers: list[Server] = []
    servers.append(Server(an_answer(servers, status, asks=asks, hears=len(incoming))))
    await servers[0].ask(*incoming)
    return servers[0]


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "ok"), (400, "refused"), (404, "refused"), (500, "failed"), (503, "failed")]
)
async def test_a_request_for_a_model_is_counted_by_its_answer(status: int, outcome: str) -> None:
    assert (await answered(status)).outcomes == {outcome: 1}


async def test_a_client_that_leaves_before_its_answer_aborts_whatever_is_answered_to_nobody() -> None:
    assert (await answered(200, incoming=("http.request", "http.disconnect"))).outcomes == {"aborted": 1}


async def test_a_client_that_leaves_with_its_whole_answer_has_had_it() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        server.in_flight.asks("a")
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        await receive()

    server = Server(app)
    await server.ask("http.disconnect")
    assert server.outcomes == {"ok": 1}


async def test_requests_for_no_model_are_not_counted() -> None:
    assert (await answered(200, asks=None)).outcomes == {}


@pytest.mark.parametrize("status", [429, 503])
async def test_a_client_is_told_when_to_come_again(status: int) -> None:
    server = await answered(status)
    assert retry_after(server) == [b"1"]


@pytest.mark.parametrize("status", [200, 400, 404, 500])
async def test_where_coming_again_does_not_help_nothing_is_said_of_it(status: int) -> None:
    assert retry_after(await answered(status)) == []


@pytest.mark.parametrize("name", [b"retry-after", b"Retry-After"])
async def test_a_server_that_says_when_to_come_again_is_not_contradicted(name: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 429, "headers": [(name, b"30")]})
        await send({"type": "http.response.body"})

    server = Server(app)
    await server.ask()
    assert retry_after(server) == [b"30"]


def retry_after(server: Server) -> list[bytes]:
    return [value for name, value in server.sent[0]["headers"] if name.lower() == b"retry-after"]


async def test_what_a_generation_says_comes_before_the_status() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = server.in_flight.current
        assert request is not None
        request.asked, request.outcome = ("a",), Outcome.FAILED
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    server = Server(app)
    await server.ask()
    assert server.outcomes == {"failed": 1}


async def test_an_app_that_breaks_has_failed_and_one_that_is_cancelled_was_aborted() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        server.in_flight.asks("a")
        raise error

    server = Server(app)
    error: BaseException = RuntimeError("a bug")
    with pytest.raises(RuntimeError):
        await server.ask()
    error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await server.ask()
    assert server.outcomes == {"failed": 1, "aborted": 1}


def guarded(folder: Path) -> tuple[Server, list[Scope]]:
    """A server that asks for the key `right`, and what got through to the app behind."""
    (folder / "keys").write_text("right")
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    return Server(app, ApiKeys(folder / "keys")), seen


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Bearer wrong")],
        [(b"x-api-key", b"wrong")],
        [(b"x-api-key", b"")],
        [(b"authorization", b"Bearer right"), (b"authorization", b"Bearer right")],
    ],
)
async def test_who_shows_no_key_is_told_so_in_the_words_of_openai(
    tmp_path: Path, headers: list[tuple[bytes, bytes]]
) -> None:
    server, seen = guarded(tmp_path)
    await server.ask(headers=headers)
    start, body = server.sent
    assert start["status"] == 401
    assert (b"www-authenticate", b"Bearer") in start["headers"]
    error = json.loads(body["body"])["error"]
    assert error["code"] == "Unauthorized"
    assert error["message"].startswith("Incorrect API key provided, or none.")
    assert seen == []


async def test_where_there_are_no_keys_it_is_said_that_the_mistake_is_not_the_clients(tmp_path: Path) -> None:
    server, seen = guarded(tmp_path)
    (tmp_path / "keys").write_text("# none yet")
    await server.ask(headers=[(b"authorization", b"Bearer right")])
    start, body = server.sent
    assert start["status"] == 401
    assert "knows no API key yet" in json.loads(body["body"])["error"]["message"]
    assert seen == []


async def test_who_shows_a_key_gets_through_and_so_do_probes(tmp_path: Path) -> None:
    server, seen = guarded(tmp_path)
    await server.ask(headers=[(b"authorization", b"Bearer right")])
    await server.ask(path="/v1/models", headers=[(b"x-api-key", b"right")])
    await server.ask(path="/ready")
    assert [scope["path"] for scope in seen] == ["/v1/completions", "/v1/models", "/ready"]


async def test_an_error_of_the_server_behind_leaves_with_a_code_and_its_new_length() -> None:
    body = json.dumps(
        {"error": {"message": "no such model", "type": "NotFoundError", "param": None, "code": 404}}
    ).encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": body[:20], "more_body": True})
        await send({"type": "http.response.body", "body": body[20:]})

    server = Server(app)
    await server.ask()
    start, sent = server.sent
    assert json.loads(sent["body"])["error"]["code"] == "NotFound"
    assert dict(start["headers"])[b"content-length"] == str(len(sent["body"])).encode()


async def test_what_is_hidden_is_hidden_with_a_key_too(tmp_path: Path) -> None:
    server, seen = guarded(tmp_path)
    await server.ask(path="/v1/load_lora_adapter", headers=[(b"authorization", b"Bearer right")])
    assert server.sent[0]["status"] == 404
    assert seen == []


async def test_a_web_socket_without_a_key_is_closed(tmp_path: Path) -> None:
    server, seen = guarded(tmp_path)
    await server.ask(type="websocket", path="/v1/responses")
    assert server.sent == [{"type": "websocket.close", "code": 1008}]
    assert seen == []
