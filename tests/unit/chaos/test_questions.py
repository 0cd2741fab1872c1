"""What a pod's answers, errors and silence tell of what it serves."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import httpx

from bench.served.reference import Expected
from chaos.node.answers import Answers
from chaos.node.questions import Questions
from chaos.sightings import Answered
from unit.chaos.moments import NEW, OLD, a_wish

WISHES = {"a": a_wish()}
MODELS = httpx.Response(200, json={"data": [{"id": "base"}, {"id": "a"}, {"id": "b"}]})
TOKENS = {NEW: (1, 2), OLD: (3, 4)}

Answer = Callable[[], httpx.Response]


def asked(completions: dict[str, Answer], models: Answer = lambda: MODELS) -> Answered | None:
    answers = Answers(Path("base"), {}, ((1,),))
    for content, tokens in TOKENS.items():
        answers.know(content, (Expected(tokens, 1.0),))

    def serve(request: httpx.Request) -> httpx.Response:
        return models() if request.method == "GET" else completions[json.loads(request.content)["model"]]()

    async def ask() -> Answered | None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(serve)) as client:
            return await Questions(client, answers, "base").ask("http://pod", "boot-1", WISHES)

    return asyncio.run(ask())


def new() -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"token_ids": list(TOKENS[NEW])}]})


def missing() -> httpx.Response:
    return httpx.Response(404)


def broken() -> httpx.Response:
    return httpx.Response(500, json={"error": "the engine is dead"})


def no_json() -> httpx.Response:
    return httpx.Response(200, text="<html>")


def cut() -> httpx.Response:
    raise httpx.ReadError("connection reset")


def silent() -> httpx.Response:
    raise httpx.ReadTimeout("no answer")


def test_a_name_is_served_as_what_its_answer_is_of() -> None:
    assert asked({"a": new, "b": missing}) == Answered("boot-1", {"a": frozenset([NEW])})


def test_an_error_under_one_name_is_told_of_that_name_and_the_others_are_judged() -> None:
    assert asked({"a": new, "b": broken}) == Answered("boot-1", {"a": frozenset([NEW])}, frozenset(["b"]))


def test_an_answer_that_cannot_be_read_is_an_error() -> None:
    assert asked({"a": no_json, "b": missing}) == Answered("boot-1", {}, frozenset(["a"]))
    assert asked({"a": lambda: httpx.Response(200, json={"choices": []}), "b": missing}) == Answered(
        "boot-1", {}, frozenset(["a"])
    )


def test_a_pod_that_cannot_list_its_names_fails_under_each_that_is_wanted() -> None:
    assert asked({}, models=broken) == Answered("boot-1", {}, frozenset(["a"]))
    assert asked({}, models=no_json) == Answered("boot-1", {}, frozenset(["a"]))


def test_silence_under_one_name_is_told_of_that_name_and_the_others_are_judged() -> None:
    told = Answered("boot-1", {"a": frozenset([NEW])}, silent=frozenset(["b"]))
    assert asked({"a": new, "b": silent}) == told
    assert asked({"a": new, "b": cut}) == told


def test_a_pod_that_does_not_say_which_names_it_has_tells_nothing() -> None:
    assert asked({}, models=cut) is None
    assert asked({}, models=silent) is None
