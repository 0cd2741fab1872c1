"""The script of `helm test`, against a server that answers like the model's Service, rightly and wrongly."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "helm" / "lora-operator" / "files" / "answers.py"
Answer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


def echo(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """What a model's pod answers."""
    return HTTPStatus.OK, {"model": request["model"], "choices": [{"message": {"content": "Ahoy!"}}]}


@pytest.fixture
def served() -> Iterator[Callable[[Answer], str]]:
    """Serves the answers; where, as HOST:PORT."""
    servers: list[HTTPServer] = []

    def serve(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                request["key"] = self.headers.get("Authorization")
                status, body = answer(request) if self.path == "/v1/chat/completions" else (404, {})
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def run(address: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the script in a pod's environment."""
    host, port = address.split(":")
    service = {"MY_MODEL_SERVICE_HOST": host, "MY_MODEL_SERVICE_PORT": port}
    return subprocess.run(
        [sys.executable, SCRIPT],
        env={"PATH": os.environ["PATH"], "MODEL": "my-model", "ADAPTER": "pirate", **service, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_an_adapter_that_answers_passes(served: Callable[[Answer], str]) -> None:
    done = run(served(echo))

    assert (done.returncode, done.stdout) == (0, "pirate: Ahoy!\n")


def test_an_answer_by_another_model_fails(served: Callable[[Answer], str]) -> None:
    done = run(served(lambda request: echo(request | {"model": "my-model"})))

    assert done.returncode == 1
    assert done.stderr == "asked pirate, answered by my-model\n"


def test_a_refusal_fails_with_what_was_said(served: Callable[[Answer], str]) -> None:
    done = run(served(lambda _: (HTTPStatus.NOT_FOUND, {"error": {"message": "no such model"}})))

    assert done.returncode == 1
    assert "404" in done.stderr
    assert "no such model" in done.stderr


def test_a_service_that_is_not_there_fails_with_its_name() -> None:
    done = run("127.0.0.1:1")

    assert done.returncode == 1
    assert "no LoRAModel my-model answers" in done.stderr


def test_it_shows_the_first_of_the_keys_if_there_are_any(served: Callable[[Answer], str]) -> None:
    seen = []

    def note(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        seen.append(request["key"])
        return echo(request)

    address = served(note)
    assert run(address).returncode == 0
    assert run(address, API_KEYS="new\nold\n").returncode == 0
    assert seen == [None, "Bearer new"]
