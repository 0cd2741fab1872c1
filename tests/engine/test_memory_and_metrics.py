"""What the runtime says of memory against the engine's own tensors, and of traffic against what clients did."""

import math
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from safetensors import safe_open

from engine.conftest import PROMPT, TOKENS, World
from lora_api.runtime_api import EngineMemory
from support.event_stream import lines_of
from support.models import tiny_adapter

FLOAT32 = 4
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(world: World) -> Series:
    answer = httpx.get(f"{world.runtime.url}/metrics", timeout=10).raise_for_status()
    families = text_string_to_metric_families(answer.text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(series: Series, name: str, **labels: str) -> float:
    return series.get((name, frozenset(labels.items())), 0.0)


def tokens_made(world: World) -> float:
    """By the engine, for clients or for the runtime itself."""
    return sum(count for (name, _), count in scrape(world).items() if name == "vllm:generation_tokens_total")


def engine_memory(world: World) -> EngineMemory:
    answer = httpx.get(f"{world.runtime.admin_url}/v1/memory", timeout=20).raise_for_status()
    return EngineMemory.model_validate_json(answer.content)


def served_bytes(memory: EngineMemory) -> dict[str, int]:
    return {name.partition("@")[0]: size for name, size in memory.host_bytes.items()}


def elements(world: World, name: str) -> int:
    with safe_open(world.adapter(name) / "adapter_model.safetensors", framework="pt") as file:
        return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118


def test_bytes_of_each_adapter_are_those_of_the_engine_s_tensors(world: World) -> None:
    every = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    tiny_adapter(world.adapter("wide"), world.base, seed=5, r=16, target_modules=every)
    tiny_adapter(world.adapter("one"), world.base, seed=6, r=2, target_modules=("k_proj",))
    parts = {"a": ("a",), "b": ("b",), "wide": ("wide",), "one": ("one",), "blend": ("a", "b", "wide")}
    world.serve(**{served: world.spec(*((part, 0.5) for part in of)) for served, of in parts.items()})

    inventory = world.runtime.inventory()
    told = {a.name: a.revisions[0].host_bytes for a in inventory.adapters}
    expected = {served: sum(elements(world, part) for part in of) * FLOAT32 for served, of in parts.items()}
    assert told == expected
    assert served_bytes(engine_memory(world)) == expected
    assert {name.partition("@")[0] for name in engine_memory(world).resident} <= set(parts)


def test_bytes_of_the_slots_are_those_of_the_engine_s_tensors_and_what_the_modules_come_to(world: World) -> None:
    capacity = world.runtime.inventory().capacity
    assert capacity is not None
    assert (capacity.slots, capacity.max_cached) == (5, 10)
    assert engine_memory(world).slots_bytes == capacity.slots * capacity.slot_bytes

    hidden, intermediate, key_value, vocabulary, layers, rank = 128, 256, 64, 512, 2, 32
    layer = [
        (hidden, hidden), (hidden, key_value), (hidden, key_value), (hidden, hidden),
        (hidden, intermediate), (hidden, intermediate), (intermediate, hidden),
    ]  # fmt: skip
    tables = [(vocabulary, hidden), (hidden, vocabulary)]
    widths = sum(a + b for a, b in layer * layers + tables)
    assert capacity.slot_bytes == widths * rank * FLOAT32


def test_requests_and_tokens_are_counted_exactly_by_adapter(world: World) -> None:
    world.serve(x=world.spec(("a", 1.0)))
    before = scrape(world)
    for _ in range(2):
        assert world.complete("x").status_code == 200
    body = {"model": "x", "prompt": list(PROMPT), "max_tokens": TOKENS, "ignore_eos": True, "stream": True}
    with httpx.stream("POST", f"{world.runtime.url}/v1/completions", json=body, timeout=60) as answer:
        assert sum(line.startswith("data: {") for line in lines_of(answer)) == TOKENS
    assert world.complete("base").status_code == 200
    assert world.complete("nobody").status_code == 404
    assert world.complete("x", max_tokens=100_000).status_code == 400
    after = scrape(world)

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert grown("lora_runtime_requests_total", adapter="x", outcome="ok") == 3
    assert grown("lora_runtime_requests_total", adapter="x", outcome="refused") == 1
    assert grown("lora_runtime_requests_total", adapter="base", outcome="ok") == 1
    assert grown("lora_runtime_requests_total", adapter="_unknown", outcome="refused") == 1
    assert grown("lora_runtime_prompt_tokens_total", adapter="x") == 3 * len(PROMPT)
    assert grown("lora_runtime_generation_tokens_total", adapter="x") == 3 * TOKENS
    assert grown("lora_runtime_generation_tokens_total", adapter="base") == TOKENS
    assert grown("lora_runtime_time_to_first_token_seconds_count", adapter="x") == 3
    assert grown("lora_runtime_inter_token_latency_seconds_count", adapter="x") == TOKENS - 1
    assert 0 < grown("lora_runtime_time_to_first_token_seconds_sum", adapter="x") < 30
    assert any(name.startswith("vllm:") for name, _ in after), "vLLM's own are beside them"
    assert not any("lora_requests_info" in name for name, _ in after), "a series for each batch there ever was"
    assert not any("@" in value for _, labels in after for _, value in labels), "names of the engine"


def test_an_engine_that_has_answered_with_an_adapter_is_not_asked_to_warm_up_for_another_one(world: World) -> None:
    world.serve(x=world.spec(("a", 1.0)))
    world.complete("x")
    before = tokens_made(world)

    world.serve(x=world.spec(("b", 0.4)), y=world.spec(("a", 0.3)))

    assert tokens_made(world) == before


def test_a_client_that_leaves_is_counted_as_aborted(world: World) -> None:
    world.serve(x=world.spec(("a", 1.0)))
    before = aborted(world)
    body = {"model": "x", "prompt": list(PROMPT), "max_tokens": 480, "ignore_eos": True}
    # One client, made before: making one takes long. Its patience is longer than a busy server's way to a request.
    with httpx.Client(base_url=world.runtime.url, timeout=httpx.Timeout(10, read=0.5)) as client:
        with client.stream("POST", "/v1/completions", json=body | {"stream": True}) as answer:
            next(answer.iter_lines())
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/completions", json=body | {"n": 16})
    deadline = time.monotonic() + 20
    while aborted(world) < before + 2:
        assert time.monotonic() < deadline, f"{aborted(world)} after {before}"
        time.sleep(0.1)


def aborted(world: World) -> float:
    return value(scrape(world), "lora_runtime_requests_total", adapter="x", outcome="aborted")


def test_series_of_a_deleted_adapter_go_away(world: World) -> None:
    world.serve(gone=world.spec(("b", 1.0)))
    assert world.complete("gone").status_code == 200
    listed = scrape(world)
    info = [dict(labels) for name, labels in listed if name == "lora_runtime_adapter_info"]
    assert [(labels["adapter"], labels["state"]) for labels in info] == [("gone", "Serving")]
    assert value(listed, "lora_runtime_revisions", state="Serving") == 1
    assert value(listed, "lora_runtime_adapters", tier="Host") == 1
    assert value(listed, "lora_runtime_store_bytes", kind="versions") > 0
    world.serve()
    assert not [labels for _, labels in scrape(world) if ("adapter", "gone") in labels]
