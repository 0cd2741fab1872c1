"""The process: how it begins, is killed, begins again, and ends."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from engine.conftest import PROMPT, TOKENS, World, states
from lora_api.runtime_api import DesiredAdapter
from support.event_stream import lines_of
from support.models import greedy, tiny_adapter, tiny_base
from support.mounted_secret import write_mounted
from support.runtime_process import RuntimeProcess, start_runtime

STREAM = {"model": "x", "prompt": list(PROMPT), "max_tokens": 300, "temperature": 0, "ignore_eos": True, "stream": True}
END_SECONDS = 60
BEYOND_VLLM_SECONDS = 6
"""vLLM's own server closes an idle connection after 5."""


@dataclass
class Place:
    """Where a process is started twice."""

    folder: Path
    runtime: RuntimeProcess

    @property
    def volumes(self) -> Path:
        return self.folder / "volumes"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The first process, whose clients need a key."""
    folder = tmp_path_factory.mktemp("process")
    tiny_base(folder / "volumes" / "models" / "base")
    environment = {"LORA_API_KEYS_FILE": str(folder / "keys" / "api-keys")}
    runtime = start_runtime(folder / "pod", volumes=folder / "volumes", environment=environment)
    try:
        runtime.wait_until_ready()
        yield Place(folder, runtime)
    finally:
        runtime.stop()


def test_clients_need_a_key_that_may_be_replaced_at_any_time(first: Place) -> None:
    def ask(key: str | None) -> httpx.Response:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        body = {"model": "base", "prompt": list(PROMPT), "max_tokens": 1}
        return httpx.post(f"{first.runtime.url}/v1/completions", json=body, headers=headers, timeout=60)

    refused = ask("old")
    assert refused.status_code == 401
    assert "knows no API key yet" in refused.json()["error"]["message"], "there is no file yet"
    write_mounted(first.keys, {"api-keys": b"old"})
    assert ask("old").status_code == 200
    refused = ask("new")
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "Unauthorized"
    assert ask(None).status_code == 401
    write_mounted(first.keys, {"api-keys": b"old\nnew"})
    assert [ask(key).status_code for key in ("old", "new")] == [200, 200]
    write_mounted(first.keys, {"api-keys": b"new"})
    assert [ask(key).status_code for key in ("old", "new")] == [401, 200]
    text = InferenceClient(first.runtime.url, token="new").text_generation(
        "Ask", max_new_tokens=1, return_full_text=True
    )
    assert str(text).startswith("Ask")
    with pytest.raises(HfHubHTTPError, match="401"):
        InferenceClient(first.runtime.url, token="old").text_generation("Ask", max_new_tokens=1)
    other_way = httpx.get(first.runtime.url + "/v1/models", headers={"X-Api-Key": "new"})
    assert other_way.status_code == 200, "as who comes through the API server's proxy shows it"
    for path in ("/v1/models", "/tokenize", "/version", "/load", "/", "/info", "/generate", "/generate_stream"):
        assert httpx.get(first.runtime.url + path).status_code == 401, path
    for path in ("/health", "/ready", "/metrics"):
        assert httpx.get(first.runtime.url + path).status_code == 200, path


def test_an_idle_connection_is_kept_for_longer_than_proxies_keep_theirs_to_it(first: Place) -> None:
    address = urlsplit(first.runtime.url)
    with socket.create_connection((address.hostname, address.port), timeout=BEYOND_VLLM_SECONDS) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_killed_engine_ends_the_process_and_the_next_one_serves_the_same_before_it_is_ready(first: Place) -> None:
    adapter = tiny_adapter(first.volumes / "adapters" / "a", first.volumes / "models" / "base", seed=1)
    expected = greedy(first.volumes / "models" / "base", [(adapter, 0.4)], PROMPT, TOKENS)

    world = World(first.runtime, first.volumes)
    spec = world.spec(("a", 0.4))
    world.declare(DesiredAdapter(name="x", uid="u", serve=spec))
    world.until(lambda found: states(found) == {("x", spec.revision, "Serving")})
    boot = first.runtime.inventory().boot_id
    os.kill(engine_of(first.runtime), signal.SIGKILL)
    assert first.runtime.process.wait(END_SECONDS) == 1
    # Python's own tracker of shared memory may warn of what the killed process has left, and comes last.
    assert "vLLM has ended by itself" in first.runtime.tail(4), first.runtime.tail()

    second = start_runtime(first.folder / "pod", volumes=first.volumes, flags=("--shutdown-timeout=60",))
    try:
        second.wait_until_ready()
        with closing(World(second, first.volumes)) as world:
            assert world.tokens("x") == expected, "served as soon as the pod is ready"
        assert second.inventory().boot_id != boot

        whole, short = (text_of(second, max_tokens) for max_tokens in (300, 5))
        lines: list[str] = []
        begun = threading.Event()
        client = threading.Thread(target=follow, args=(second, lines, begun))
        client.start()
        assert begun.wait(30)
        answers: list[str] = []
        asking = threading.Event()
        kept = threading.Thread(target=ask_on, args=(second, answers, asking))
        kept.start()
        assert asking.wait(30)
        assert second.stop() == 0
        client.join(30)
        kept.join(30)
        assert set(answers[:-1]) == {short}, "who keeps a connection is answered whole"
        assert answers[-1] == "ConnectError", "and then told to look for another pod"
        assert lines[-1] == "data: [DONE]", "a stream under way is ended, not cut"
        text = "".join(json.loads(line[6:])["choices"][0]["text"] for line in lines[:-1])
        assert text == whole
    finally:
        second.stop()


def follow(runtime: RuntimeProcess, lines: list[str], begun: threading.Event) -> None:
    with httpx.stream("POST", f"{runtime.url}/v1/completions", json=STREAM, timeout=60) as answer:
        for line in lines_of(answer):
            if line:
                lines.append(line)
                begun.set()


def text_of(runtime: RuntimeProcess, max_tokens: int, client: httpx.Client | None = None) -> str:
    body = STREAM | {"stream": False, "max_tokens": max_tokens}
    answer = (client or httpx).post(f"{runtime.url}/v1/completions", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["text"])


def ask_on(runtime: RuntimeProcess, answers: list[str], asking: threading.Event) -> None:
    """Asks again and again on a connection that is kept, until there is no server; what was answered, and how it ended."""
    with httpx.Client() as client:
        try:
            while True:
                answers.append(text_of(runtime, 5, client))
                asking.set()
        except (httpx.HTTPError, AssertionError) as error:
            answers.append(type(error).__name__)


def engine_of(runtime: RuntimeProcess) -> int:
    """The engine's process, a child of the server's; the kernel keeps 15 letters of a name."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and read(entry / "comm").startswith("VLLM::EngineCo"):
                parent = read(entry / "stat").rpartition(")")[2].split()[1:2]
                if parent == [str(runtime.process.pid)]:
                    return int(entry.name)
    raise AssertionError("the server has no engine process")


def read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
