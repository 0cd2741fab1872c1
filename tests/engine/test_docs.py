"""The recipes of the documentation, run as they stand there against a real server."""

import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.conftest import World
from support import snippets

HOW_TO = snippets.ROOT / "docs" / "how-to"
QUESTION = "What is the largest desert?"


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[World]:
    """The names of the pages; the base model's own is `smol` there, and at weight 0 an adapter is the base model."""
    world.serve(pirate=world.spec(("a", 0.7)), formal=world.spec(("b", 1.0)), smol=world.spec(("a", 0.0)))
    yield world
    world.serve()


def run(page: str, world: World, folder: Path, **means: str) -> dict[str, str]:
    # Served on this machine, and forwarded from a cluster.
    means = {f"http://localhost:{port}": world.runtime.url for port in (8000, 8080)} | means
    environment = {"LORA_URL": f"{world.runtime.url}/v1", "NO_PROXY": "127.0.0.1"}
    return snippets.run(HOW_TO / page, folder, environment, means=means)


def chat(world: World, model: str, **options: object) -> str:
    """What is answered to whoever asks without a library."""
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 40, "temperature": 0}
    answer = world.http.post(f"{world.runtime.url}/v1/chat/completions", json=body | options)
    return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])


def test_every_client_gets_what_the_adapter_answers(served: World, tmp_path: Path) -> None:
    told = run("clients.md", served, tmp_path)
    expected = chat(served, "pirate") + "\n"
    assert expected != chat(served, "smol") + "\n", "the adapter must be seen to act"
    for recipe in ("A conversation", "As it comes", "Hugging Face's library", "LangChain", "As it comes, by LangChain"):
        assert told[recipe] == expected, recipe
    assert set(told["OpenAI's library"].split()) == {"base", "pirate", "formal", "smol"}
    body = {"model": "pirate", "prompt": "The largest desert is", "max_tokens": 40, "temperature": 0}
    continued = served.http.post(f"{served.runtime.url}/v1/completions", json=body).json()["choices"][0]["text"]
    assert told["A text to continue"] == continued + "\n"
    assert '"id":"formal"' in told["curl"]
    assert '"model":"pirate"' in told["curl"]


def test_tgis_client_asks_the_adapter(served: World, tmp_path: Path) -> None:
    body = {"model": "pirate", "prompt": "The capital of Italy is", "max_tokens": 20, "temperature": 0}
    expected = served.http.post(f"{served.runtime.url}/v1/completions", json=body).json()["choices"][0]["text"]
    told = run("tgi.md", served, tmp_path)["Keep clients that speak TGI's API"]
    # Whole, then streamed; then curl, which asks in TGI's own words.
    assert told.startswith(f"{expected}\n{expected}")
    assert '"generated_text"' in told


def test_one_call_is_answered_by_several_adapters(served: World, tmp_path: Path) -> None:
    told = run("mixed-batch.md", served, tmp_path)["One call for several adapters"]
    assert told.count('"index":') == 3, "what curl prints"
    assert re.search(r"0 .*^1 .*^2 ", told, re.DOTALL | re.MULTILINE), "what the library's program prints"


def await_quota(world: World) -> None:
    """Other tests use up what may be composed in a minute; they did it within seconds, and so it comes back."""
    deadline = time.monotonic() + 90
    in_a_row = 0
    for attempt in itertools.count():
        body = {"model": "pirate", "prompt": "x", "max_tokens": 1, "lora": {"weight": 0.5 + attempt / 1000}}
        answer = world.http.post(f"{world.runtime.url}/v1/completions", json=body)
        in_a_row = in_a_row + 1 if answer.is_success else 0
        if in_a_row == 5:
            return
        assert time.monotonic() < deadline, answer.text
        time.sleep(1)


def test_a_request_composes_adapters(served: World, tmp_path: Path) -> None:
    await_quota(served)
    told = run("compose-in-a-request.md", served, tmp_path, smol="base")["Compose adapters in a request"]
    weighted, blended = (json.loads(text) for text in told.replace('}{"id"', '}\n{"id"').splitlines())
    assert (weighted["model"], blended["model"]) == ("pirate", "base")
    assert all(answer["choices"][0]["message"]["content"] for answer in (weighted, blended))
