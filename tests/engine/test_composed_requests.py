"""Requests that compose adapters by themselves: answered as PEFT would, by nobody that others can see, within bounds."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from engine.conftest import World
from engine.test_memory_and_metrics import engine_memory, scrape, value

KEPT = 3


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[World]:
    world.serve(x=world.spec(("a", 1.0)), y=world.spec(("b", 0.5)), z=world.spec(("rs", 1.0)))
    yield world
    world.serve()
    world.until(lambda _: not composed(world))


def composed(world: World) -> set[str]:
    return {name.partition("@")[0] for name in engine_memory(world).host_bytes if ":" in name}


def tokens(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return list(answer.json()["choices"][0]["token_ids"])


def weigh(world: World, weight: float, model: str = "x", **options: Any) -> httpx.Response:
    return world.complete(model, lora={"weight": weight}, **options)


def blend(world: World, model: str = "base", **members: float) -> httpx.Response:
    return world.complete(model, lora={"blend": [{"name": name, "weight": w} for name, w in members.items()]})


@pytest.mark.parametrize("weight", [0.4, -0.5, 0])
def test_an_adapter_at_another_weight_answers_as_peft_does(served: World, weight: float) -> None:
    assert tokens(weigh(served, weight)) == served.reference(("a", weight))
    assert served.tokens("x") == served.reference(("a", 1.0)), "what others get is as before"


def test_a_weight_multiplies_the_one_that_is_declared(served: World) -> None:
    assert tokens(weigh(served, 2, "y")) == served.reference(("b", 1.0))


def test_a_blend_answers_as_peft_does(served: World) -> None:
    assert tokens(blend(served, x=0.7, z=0.4)) == served.reference(("a", 0.7), ("rs", 0.4))


def test_conversations_can_be_composed_too_and_are_told_the_name_that_they_asked_for(served: World) -> None:
    answer = served.http.post(
        f"{served.runtime.url}/v1/chat/completions",
        json={
            "model": "x", "messages": [{"role": "user", "content": "Who?"}], "max_tokens": 4, "lora": {"weight": 0.4},
        },
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "x"


def test_what_is_composed_is_nobody_that_clients_can_see_or_ask_for(served: World) -> None:
    weigh(served, 0.4)
    (hidden, *_) = composed(served)
    listed = served.http.get(f"{served.runtime.url}/v1/models").json()["data"]
    assert {card["id"] for card in listed} == {"base", "x", "y", "z"}
    answer = served.complete(hidden)
    assert answer.status_code == 404, answer.text
    assert ":" not in answer.json()["error"]["message"].replace(hidden, "").replace("Served here:", "")
    assert {adapter.name for adapter in served.runtime.inventory().adapters} == {"x", "y", "z"}


def test_no_more_are_kept_than_allowed_and_what_had_to_go_comes_back(served: World) -> None:
    weights = [0.3 + number / 10 for number in range(2 * KEPT)]
    found = [tokens(weigh(served, weight)) for weight in weights]
    assert found == [served.reference(("a", weight)) for weight in weights]
    served.until(lambda _: len(composed(served)) <= KEPT)
    assert tokens(weigh(served, weights[0])) == found[0]


def test_what_becomes_of_them_is_counted_and_tokens_are_those_of_the_name(served: World) -> None:
    weigh(served, 0.8)
    before = scrape(served)
    tokens(weigh(served, 0.8))
    after = scrape(served)
    for name, labels, more in (
        ("lora_runtime_compositions_total", {"outcome": "reused"}, 1),
        ("lora_runtime_requests_total", {"adapter": "x", "outcome": "ok"}, 1),
        ("lora_runtime_generation_tokens_total", {"adapter": "x"}, 12),
    ):
        assert value(after, name, **labels) - value(before, name, **labels) == more
    assert value(after, "lora_runtime_compositions_kept") <= KEPT


@pytest.mark.parametrize(
    ("model", "said", "status", "says"),
    [
        ("x", {"weight": 11}, 400, "lora.weight: Input should be less than or equal to 10"),
        ("x", {"wieght": 1}, 400, "lora.wieght: Extra inputs are not permitted"),
        ("x", {}, 400, "exactly one of weight, blend must be set"),
        ("x", 0.5, 400, "lora: "),
        ("base", {"weight": 0.5}, 400, "lora.weight scales an adapter, whose name goes into `model`"),
        ("x", {"blend": [{"name": "x"}]}, 400, "`model` is then base"),
        (
            "base",
            {"blend": [{"name": "x"}, {"name": "no"}]},
            404,
            "lora.blend[1].name: The adapter `no` does not exist",
        ),
        ("base", {"blend": [{"name": "x", "weight": 0.1}] * 5}, 422, "has rank 40"),
        ("nobody", {"weight": 0.5}, 404, "The model `nobody` does not exist"),
    ],
    ids=str,
)
def test_what_cannot_be_composed_is_refused_with_the_field(
    served: World, model: str, said: Any, status: int, says: str
) -> None:
    answer = served.complete(model, lora=said)
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]["message"]


def test_it_goes_when_what_it_is_made_of_changes(served: World) -> None:
    assert tokens(weigh(served, 0.5, "z")) == served.reference(("rs", 0.5))
    before = {name for name in composed(served) if name.startswith("z:")}
    assert before
    served.serve(x=served.spec(("a", 1.0)), y=served.spec(("b", 0.5)), z=served.spec(("rs", 0.6)))
    served.until(lambda _: not before & composed(served))
    assert tokens(weigh(served, 0.5, "z")) == served.reference(("rs", 0.3))


def test_new_ones_have_a_quota(served: World) -> None:
    for number in range(41):
        answer = weigh(served, 1 + number / 64, max_tokens=1)
        if answer.status_code != 200:
            break
    assert answer.status_code == 429, answer.text
    assert answer.headers["retry-after"]
    assert "spec.adapters.composition.perMinute" in answer.json()["error"]["message"]
