"""What `kubectl lora` makes of the answers of an API server's proxy, over real HTTP."""

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from lora_api.error_codes import ErrorCode
from lora_cli.clients.kube import Kube
from lora_cli.clients.serving import Serving, ThroughTheApiServer
from lora_cli.errors import Failed

Answer = Callable[[BaseHTTPRequestHandler], None]
PROXY = "/api/v1/namespaces/team/services/smol:http/proxy/v1/chat/completions"


def event(text: str) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n".encode()


def with_status(status: int, body: dict[str, Any]) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        data = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    return answer


@contextmanager
def a_pod(
    folder: Path, answer: Answer, *, stored: Mapping[str, Any] | None = None, api_key: str | None = None
) -> Iterator[tuple[Serving, list[tuple[str, Any]]]]:
    """Somebody to talk with through an API server that answers so, and what it was asked.

    Args:
        folder: for the kubeconfig.
        answer: of the pod.
        stored: what the user may read of the namespace, by path.
        api_key: what the user shows.
    """
    asked: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            answer(self)

        def do_GET(self) -> None:
            found = (stored or {}).get(self.path)
            forbidden = {"kind": "Status", "message": "you cannot get it"}
            with_status(403, forbidden)(self) if found is None else with_status(200, found)(self)

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "contexts": [
                {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
                {"name": "other", "context": {"cluster": "c", "user": "u", "namespace": "others"}},
                {"name": "homeless", "context": {"cluster": "c", "user": "u"}},
            ],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }  # fmt: skip
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        try:
            yield Serving(ThroughTheApiServer(Kube.connect(path, None, None), "smol", api_key), "pirate"), asked
        finally:
            server.shutdown()
            thread.join()


def ask(serving: Serving) -> list[str]:
    return [piece.text for piece in serving.chat([{"role": "user", "content": "Who?"}], {"max_tokens": 8})]


def test_each_piece_is_there_before_the_next_is_made(tmp_path: Path) -> None:
    heard = threading.Event()

    def stream(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        first = event("Ahoy")
        # a piece may be cut anywhere
        for part in (first[:9], first[9:]):
            request.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        assert heard.wait(20), "the first piece was held back"
        for part in (event("!"), b"data: [DONE]\n\n"):
            request.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        request.wfile.write(b"0\r\n\r\n")

    with a_pod(tmp_path, stream) as (serving, asked):
        pieces = serving.chat([{"role": "user", "content": "Who?"}], {"max_tokens": 8})
        assert next(pieces).text == "Ahoy"
        heard.set()
        assert [piece.text for piece in pieces] == ["!"]
    [(path, body)] = asked
    assert path == PROXY
    assert body == {
        "model": "pirate", "messages": [{"role": "user", "content": "Who?"}], "stream": True, "max_tokens": 8,
    }  # fmt: skip


OPENAI = {"error": {"message": "pirate is not served yet", "code": 503}}
STATUS = {"kind": "Status", "message": 'no endpoints available for service "smol"'}


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (503, OPENAI, ErrorCode.NOT_READY, "pirate is not served yet"),
        (404, {"error": {"message": "The model `x` does not exist."}}, ErrorCode.NOT_FOUND, "does not exist"),
        (400, {"error": {"message": "too long"}}, ErrorCode.INVALID, "too long"),
        (503, {"error": {"message": "does not fit", "code": "Incompatible"}}, ErrorCode.INCOMPATIBLE, "does not fit"),
        (503, {"error": {"message": "a novelty", "code": "Levitating"}}, ErrorCode.NOT_READY, "a novelty"),
        (500, {"error": {"message": "a bug", "code": 500}}, ErrorCode.UNREACHABLE, "a bug"),
        (401, {"kind": "Status", "message": "Unauthorized"}, ErrorCode.UNAUTHORIZED, "Unauthorized"),
        (403, {"kind": "Status", "message": "cannot create resource"}, ErrorCode.FORBIDDEN, "through the API server"),
        (404, {"kind": "Status", "message": "services not found"}, ErrorCode.NOT_FOUND, "has no Service yet"),
        (503, STATUS, ErrorCode.UNREACHABLE, "no endpoints available"),
        (502, {}, ErrorCode.UNREACHABLE, "reachableFrom"),
    ],
)
def test_each_refusal_has_a_code_and_says_who_refuses(
    tmp_path: Path, status: int, body: dict[str, Any], code: ErrorCode, words: str
) -> None:
    with a_pod(tmp_path, with_status(status, body)) as (serving, _), pytest.raises(Failed) as failed:
        ask(serving)
    assert failed.value.code is code
    assert words in str(failed.value)


MODEL = "/apis/lora-operator.io/v1alpha1/namespaces/team/loramodels/smol"
KEYED = {"spec": {"source": {"huggingFace": {"repo": "a/b"}}, "apiKey": {"secretRef": {"name": "keys"}}}}
SECRET = "/api/v1/namespaces/team/secrets/keys"


def for_the_key(key: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.headers["X-Api-Key"] != key:
            with_status(401, {"error": {"message": "Incorrect API key.", "code": "Unauthorized"}})(request)
            return
        data = event("Ahoy") + b"data: [DONE]\n\n"
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    return answer


def test_a_key_that_is_given_goes_past_the_api_server_s_own_login(tmp_path: Path) -> None:
    with a_pod(tmp_path, for_the_key("given"), api_key="given") as (serving, asked):
        assert ask(serving) == ["Ahoy"]
    assert len(asked) == 1


def test_the_key_of_the_model_s_secret_is_read_when_one_is_wanted_and_not_before(tmp_path: Path) -> None:
    secret = {"data": {"api-key": base64.b64encode(b"\xef\xbb\xbf# of the team\n first \nsecond").decode()}}
    with a_pod(tmp_path, for_the_key("first"), stored={MODEL: KEYED, SECRET: secret}) as (serving, asked):
        assert ask(serving) == ["Ahoy"]
        assert ask(serving) == ["Ahoy"]
    assert len(asked) == 3, "it is kept for the conversation"


@pytest.mark.parametrize(
    ("stored", "api_key", "says"),
    [
        ({MODEL: KEYED}, None, "Secret keys cannot be read"),
        ({MODEL: KEYED, SECRET: {"data": {}}}, None, "has no API key under api-key"),
        ({}, "wrong", "does not take this API key"),
    ],
)
def test_who_has_no_key_is_told_how_to_give_one(
    tmp_path: Path, stored: dict[str, Any], api_key: str | None, says: str
) -> None:
    pod = a_pod(tmp_path, for_the_key("right"), stored=stored, api_key=api_key)
    with pod as (serving, _), pytest.raises(Failed, match=says) as failed:
        ask(serving)
    assert failed.value.code is ErrorCode.UNAUTHORIZED
    assert "--api-key" in str(failed.value)


def test_an_api_server_that_is_gone_is_unreachable(tmp_path: Path) -> None:
    with a_pod(tmp_path, with_status(200, {})) as (serving, _):
        pass
    with pytest.raises(Failed, match="does not answer, or not to the end") as failed:
        ask(serving)
    assert failed.value.code is ErrorCode.UNREACHABLE


@pytest.mark.parametrize(
    ("context", "asked", "namespace"),
    [(None, None, "team"), ("other", None, "others"), ("homeless", None, "default"), ("other", "mine", "mine")],
)
def test_the_namespace_is_that_of_the_context_unless_one_is_named(
    tmp_path: Path, context: str | None, asked: str | None, namespace: str
) -> None:
    with a_pod(tmp_path, with_status(200, {})):
        assert Kube.connect(tmp_path / "kubeconfig", context, asked).namespace == namespace


def test_a_context_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with a_pod(tmp_path, with_status(200, {})), pytest.raises(Failed, match="nowhere") as failed:
        Kube.connect(tmp_path / "kubeconfig", "nowhere", None)
    assert failed.value.then == "kubectl config get-contexts"


@pytest.mark.parametrize("why", ["EOF", "http: server closed idle connection", "read: connection reset by peer"])
def test_a_question_that_met_a_connection_that_the_pod_had_closed_is_asked_again(tmp_path: Path, why: str) -> None:
    closed = {"kind": "Status", "message": f"error trying to reach service: {why}", "code": 503}

    def answer(request: BaseHTTPRequestHandler) -> None:
        if len(asked) == 1:
            with_status(503, closed)(request)
            return
        request.send_response(200)
        data = event("Aye") + b"data: [DONE]\n\n"
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    with a_pod(tmp_path, answer) as (serving, asked):
        assert ask(serving) == ["Aye"]
        assert len(asked) == 2
