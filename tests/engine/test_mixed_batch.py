"""One call with prompts for several names: each is answered as it would be alone, by the ways that all requests go."""

import json
from typing import Any

import httpx
import openai
import pytest

from engine.conftest import PROMPT, TOKENS, World, states
from engine.test_memory_and_metrics import scrape, value
from lora_api.runtime_api import DesiredAdapter, Part
from support.event_stream import lines_of
from support.models import tiny_adapter

PROMPTS = (PROMPT, (3, 141, 59, 26, 5, 35, 89, 79), (271, 8, 28, 18), (PROMPT[::-1]))
MAPPING = "prompt_to_adapter_mapping"


@pytest.fixture(scope="module")
def served(world: World) -> World:
    world.serve(x=world.spec(("a", 1.0)), y=world.spec(("b", 0.7)), z=world.spec(("a", 0.4), ("rs", 0.5)))
    return world


EXPECTED: dict[str, tuple[tuple[str, float], ...]] = {
    "base": (), "x": (("a", 1.0),), "y": (("b", 0.7),), "z": (("a", 0.4), ("rs", 0.5)),
}  # fmt: skip


def call(
    world: World, names: Any, prompts: Any = PROMPTS, path: str = "completions", **options: object
) -> httpx.Response:
    body = {
        "model": "base", "prompt": prompts, MAPPING: names,
        "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True, "return_token_ids": True, **options,
    }  # fmt: skip
    return world.http.post(f"{world.runtime.url}/v1/{path}", json=body)


def expected(world: World, names: tuple[str, ...], prompts: tuple[tuple[int, ...], ...] = PROMPTS) -> list[list[int]]:
    return [world.reference(*EXPECTED[name], prompt=prompt) for name, prompt in zip(names, prompts, strict=True)]


def tokens_of(answer: httpx.Response) -> list[list[int]]:
    assert answer.status_code == 200, answer.text
    choices = answer.json()["choices"]
    assert [choice["index"] for choice in choices] == list(range(len(choices)))
    return [choice["token_ids"] for choice in choices]


def test_each_prompt_is_answered_as_peft_does_with_its_adapter(served: World) -> None:
    for names in (("x", "y", "base", "z"), ("base", "x", "x", "y")):
        assert tokens_of(call(served, names)) == expected(served, names)


def test_the_same_prompt_may_be_asked_of_everybody(served: World) -> None:
    names = ("base", "x", "y", "z")
    found = tokens_of(call(served, names, [PROMPT] * 4))
    assert found == expected(served, names, (PROMPT,) * 4) == [served.tokens(name) for name in names]
    assert len({tuple(tokens) for tokens in found}) == 4


def test_answers_stream_side_by_side(served: World) -> None:
    names, found = ("x", "y", "base", "z"), [[] for _ in PROMPTS]  # type: tuple[str, ...], list[list[int]]
    for line in call(served, names, stream=True).text.split("\n"):
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                found[choice["index"]] += choice["token_ids"] or []
    assert found == expected(served, names)


def test_the_openai_client_sends_it_as_an_extra(served: World) -> None:
    client = openai.OpenAI(base_url=f"{served.runtime.url}/v1", api_key="none")
    answer = client.completions.create(
        model="base",
        prompt=["The capital of France is", "The sky is"],
        max_tokens=TOKENS,
        temperature=0,
        extra_body={MAPPING: ["x", "base"]},
    )
    alone = [
        client.completions.create(model=name, prompt=prompt, max_tokens=TOKENS, temperature=0).choices[0].text
        for name, prompt in (("x", "The capital of France is"), ("base", "The sky is"))
    ]
    assert [choice.text for choice in answer.choices] == alone
    client.close()


def test_more_names_than_the_engine_has_slots_take_turns(served: World) -> None:
    capacity = served.runtime.inventory().capacity
    assert capacity is not None
    names = [f"many-{number}" for number in range(2 * capacity.slots)]
    for number, name in enumerate(names):
        tiny_adapter(served.adapter(name), served.base, seed=100 + number, r=2)
    served.serve(**{name: served.spec((name, 1.0)) for name in names})
    try:
        alone = [served.tokens(name) for name in names]
        assert tokens_of(call(served, names, [PROMPT] * len(names))) == alone
    finally:
        served.serve(**{name: served.spec(*parts) for name, parts in EXPECTED.items() if parts})


@pytest.mark.parametrize(
    ("names", "status", "says"),
    [
        (
            ["x", "y", "nobody", "z"],
            404,
            f"{MAPPING}[2]: The model `nobody` does not exist. Served here: base, x, y, z",
        ),
        (["x", "y"], 400, f"{MAPPING} has 2 names for 4 prompts"),
        (["x", "y", "", "z"], 400, "must be a list of names"),
        (["x", 1, "y", "z"], 400, "must be a list of names"),
        ("x", 400, "must be a list of names"),
        ({"0": "x"}, 400, "must be a list of names"),
    ],
    ids=str,
)
def test_a_call_that_cannot_be_answered_fails_before_anything_runs(
    served: World, names: Any, status: int, says: str
) -> None:
    before = value(scrape(served), "vllm:prompt_tokens_total", model_name="base", engine="0")
    answer = call(served, names)
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"] == MAPPING
    assert value(scrape(served), "vllm:prompt_tokens_total", model_name="base", engine="0") == before


def test_a_name_that_is_declared_but_not_served_is_503_with_its_index_and_a_time_to_come_again(served: World) -> None:
    missing = Part(source=served.facts("a").source, digest="sha256:" + "0" * 64, weight=1.0)
    bad = served.spec(("a", 1.0)).model_copy(update={"revision": "0" * 8, "parts": (missing,)})
    entries = {name: served.spec(*parts) for name, parts in EXPECTED.items() if parts} | {"late": bad}
    served.declare(*(DesiredAdapter(name=name, uid=name, serve=spec) for name, spec in entries.items()))
    served.until(lambda found: any(name == "late" for name, _, _ in states(found)))
    answer = call(served, ["x", "late", "y", "z"])
    assert answer.status_code == 503, answer.text
    assert answer.headers["retry-after"]
    assert f"{MAPPING}[1]: The adapter `late` is declared but not served yet" in answer.json()["error"]["message"]
    assert call(served, ["x", "late", "nobody", "z"]).status_code == 404, "what can never be answered comes first"
    served.serve(**{name: spec for name, spec in entries.items() if name != "late"})


@pytest.mark.parametrize("options", [{"use_beam_search": True, "n": 2}], ids=["beam search"])
def test_what_cannot_be_combined_with_it_is_refused(served: World, options: dict[str, Any]) -> None:
    answer = call(served, ["x", "y", "base", "z"], **options)
    assert answer.status_code == 400, answer.text
    assert f"{MAPPING} cannot be combined with" in answer.json()["error"]["message"]


def test_conversations_are_refused_rather_than_answered_by_somebody_else(served: World) -> None:
    answer = call(served, ["x"], path="chat/completions", messages=[{"role": "user", "content": "Who?"}])
    assert answer.status_code == 400, answer.text
    assert f"{MAPPING} is for /v1/completions" in answer.json()["error"]["message"]


def test_requests_and_tokens_are_counted_for_each_name(served: World) -> None:
    def counts() -> dict[str, tuple[float, float]]:
        series = scrape(served)
        return {
            name: (
                value(series, "lora_runtime_generation_tokens_total", adapter=name),
                value(series, "lora_runtime_requests_total", adapter=name, outcome="ok"),
            )
            for name in EXPECTED
        }

    before = counts()
    tokens_of(call(served, ("x", "x", "base", "z")))
    grown = {name: (after[0] - before[name][0], after[1] - before[name][1]) for name, after in counts().items()}
    assert grown == {"x": (2 * TOKENS, 1), "base": (TOKENS, 1), "z": (TOKENS, 1), "y": (0, 0)}


def test_a_call_under_way_ends_on_the_revisions_that_it_began_with(served: World) -> None:
    names, later = ("x", "y", "base", "z"), served.spec(("a", 0.2))
    specs = {name: served.spec(*parts) for name, parts in EXPECTED.items() if parts}
    undisturbed = tokens_of(call(served, names, max_tokens=200))
    found: list[list[int]] = [[] for _ in names]
    body = {
        "model": "base", "prompt": PROMPTS, MAPPING: names, "max_tokens": 200, "temperature": 0, "ignore_eos": True,
        "return_token_ids": True, "stream": True,
    }  # fmt: skip
    with served.http.stream("POST", f"{served.runtime.url}/v1/completions", json=body) as stream:
        for number, line in enumerate(lines_of(stream)):
            if number == 0:
                entries = specs | {"x": later}
                served.declare(*(DesiredAdapter(name=n, uid=n, serve=s) for n, s in entries.items()))
            if line.startswith("data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    found[choice["index"]] += choice["token_ids"] or []
    assert found == undisturbed
    served.until(lambda inventory: ("x", later.revision, "Serving") in states(inventory))
    served.serve(**specs)
