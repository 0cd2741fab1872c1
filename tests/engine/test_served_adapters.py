"""What clients get, against what PEFT in float32 answers."""

import json
import threading

import httpx
import openai
import pytest

from engine.conftest import PROMPT, World, states
from lora_api.runtime_api import DesiredAdapter, RevisionSpec
from lora_api.v1alpha1.adapter import Precision
from lora_api.v1alpha1.blend import BlendMethod
from support.event_stream import lines_of
from support.models import reference_logprobs


def test_the_base_model_answers_as_peft_does(world: World) -> None:
    world.serve()
    assert world.tokens("base") == world.reference()


@pytest.mark.parametrize("parts", [
    (("a", 1.0),),
    (("a", 0.4),),
    (("rs", 0.7),),
    (("a", 0.7), ("b", 0.5)),
    (("a", 1.0), ("b", -0.5), ("rs", 0.3)),
], ids=str)  # fmt: skip
def test_an_adapter_or_blend_answers_as_peft_does(world: World, parts: tuple[tuple[str, float], ...]) -> None:
    world.serve(x=world.spec(*parts))
    assert world.tokens("x") == world.reference(*parts)
    assert world.tokens("x") != world.reference(), "the adapter must be seen to act"


def test_log_probabilities_match_peft_and_asking_for_them_harms_nobody(world: World) -> None:
    world.serve(x=world.spec(("a", 0.4)))
    answer = world.complete("x", logprobs=1, max_tokens=1).json()
    expected = reference_logprobs(world.base, [(world.adapter("a"), 0.4)], PROMPT)
    token = answer["choices"][0]["token_ids"][0]
    assert answer["choices"][0]["logprobs"]["token_logprobs"][0] == pytest.approx(float(expected[token]), abs=1e-4)


def test_weight_zero_is_the_base_model(world: World) -> None:
    world.serve(x=world.spec(("a", 0.0)))
    assert world.tokens("x") == world.reference()


def test_base_and_adapter_requests_in_one_batch_do_not_touch_each_other(world: World) -> None:
    world.serve(x=world.spec(("a", 1.0)), y=world.spec(("b", 1.0)))
    expected = {"base": world.reference(), "x": world.reference(("a", 1.0)), "y": world.reference(("b", 1.0))}
    found: list[tuple[str, list[int]]] = []
    threads = [
        threading.Thread(target=lambda name=name: found.append((name, world.tokens(name))))
        for name in ("base", "x", "base", "y", "base", "x")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == len(threads)
    assert [name for name, tokens in found if tokens != expected[name]] == []


def test_a_stream_begun_before_a_change_ends_as_it_would_have_without_it(world: World) -> None:
    spec, next_spec = world.spec(("a", 1.0)), world.spec(("a", 0.4))
    world.serve(x=spec)
    body = {"model": "x", "prompt": list(PROMPT), "max_tokens": 480, "temperature": 0, "ignore_eos": True}
    undisturbed = httpx.post(f"{world.runtime.url}/v1/completions", json=body, timeout=60).json()["choices"][0]["text"]
    afterwards = world.reference(("a", 0.4))
    world.declare(DesiredAdapter(name="x", uid="x", serve=spec, prepare=next_spec))
    world.until(lambda found: ("x", next_spec.revision, "Prepared") in states(found))

    with world.http.stream(
        "POST", f"{world.runtime.url}/v1/completions", json=body | {"stream": True}, timeout=60
    ) as stream:
        lines = lines_of(stream)
        pieces = [_text(next(line for line in lines if line.startswith("data:")))]
        with world.runtime.engine_held():
            world.declare(DesiredAdapter(name="x", uid="x", serve=next_spec))
            world.until(
                lambda found: states(found) == {("x", spec.revision, "Draining"), ("x", next_spec.revision, "Serving")}
            )
        assert world.tokens("x") == afterwards
        pieces += [_text(line) for line in lines if line.startswith("data: {")]

    assert "".join(pieces) == undisturbed
    world.until(lambda found: states(found) == {("x", next_spec.revision, "Serving")})


def test_a_prepared_revision_is_invisible_until_it_is_committed(world: World) -> None:
    old, new = world.spec(("a", 1.0)), world.spec(("b", 1.0))
    world.serve(x=old)
    world.declare(DesiredAdapter(name="x", uid="x", serve=old, prepare=new))
    world.until(lambda found: ("x", new.revision, "Prepared") in states(found))
    assert world.tokens("x") == world.reference(("a", 1.0))
    assert _models(world) == {"base", "x"}
    world.serve(x=new)
    assert world.tokens("x") == world.reference(("b", 1.0))


def test_clients_see_served_names_only_and_no_paths(world: World) -> None:
    world.serve(**{"team/x.1": world.spec(("a", 1.0))})
    answer = world.complete("team/x.1").json()
    assert answer["model"] == "team/x.1"
    listed = httpx.get(f"{world.runtime.url}/v1/models", timeout=10)
    assert {card["id"] for card in listed.json()["data"]} == {"base", "team/x.1"}
    assert str(world.volumes.parent) not in listed.text
    assert "@" not in listed.text


def test_an_unknown_name_is_404_in_openai_s_shape_and_tells_the_names_that_exist(world: World) -> None:
    world.serve(x=world.spec(("a", 1.0)))
    answer = world.complete("nobody")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "NotFoundError"
    assert answer.json()["error"]["message"] == "The model `nobody` does not exist. Served here: base, x."


def test_an_empty_name_is_unknown_and_none_at_all_is_the_base(world: World) -> None:
    world.serve()
    answer = world.complete("")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "The model `` does not exist. Served here: base."
    body = {"prompt": list(PROMPT), "max_tokens": 1}
    answer = httpx.post(f"{world.runtime.url}/v1/completions", json=body, timeout=60)
    assert (answer.status_code, answer.json()["model"]) == (200, "base")


def test_a_declared_name_that_is_not_served_yet_is_503_with_retry_after(world: World) -> None:
    world.declare(DesiredAdapter(name="soon", uid="s"))
    answer = world.complete("soon")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "`soon` is declared but not served yet" in answer.json()["error"]["message"]


def test_openai_s_client_reads_the_code_of_a_refusal(world: World) -> None:
    world.declare(DesiredAdapter(name="soon", uid="s"))
    client = openai.OpenAI(base_url=f"{world.runtime.url}/v1", api_key="none", max_retries=0)
    for model, kind, code in (
        ("nobody", openai.NotFoundError, "NotFound"),
        ("soon", openai.APIStatusError, "NotReady"),
    ):
        with pytest.raises(kind) as refused:
            client.completions.create(model=model, prompt="x")
        assert refused.value.code == code


def test_a_name_that_this_pod_alone_cannot_load_is_503_with_retry_after_and_the_rest_is_served(world: World) -> None:
    good = world.spec(("a", 1.0))
    files = good.leaves[0].model_copy(update={"digest": "sha256:" + "0" * 64})
    lacking = RevisionSpec.of((files,), BlendMethod.CONCAT, Precision.AUTO)
    world.declare(*(DesiredAdapter(name=name, uid=name, serve=spec) for name, spec in (("x", good), ("y", lacking))))
    want = {("x", good.revision, "Serving"), ("y", lacking.revision, "Failed")}
    world.until(lambda found: states(found) == want)
    answer = world.complete("y")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    error = answer.json()["error"]
    assert "`y` is declared but not served yet (DigestMismatch)" in error["message"]
    assert (error["code"], error["reason"]) == ("Conflict", "DigestMismatch")
    assert world.tokens("x") == world.reference(("a", 1.0))
    assert world.complete("base").status_code == 200


def test_a_deleted_name_is_404_and_the_engine_gives_it_up(world: World) -> None:
    world.serve(x=world.spec(("a", 1.0)))
    world.serve()
    assert world.complete("x").status_code == 404
    assert world.runtime.inventory().adapters == ()


@pytest.mark.parametrize("path", [
    "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters", "/adapters/x", "/collective_rpc", "/sleep",
    "/scale_elastic_ep", "//adapters/", "/server_info", "/inference/v1/abort_requests", "/abort_requests",
])  # fmt: skip
def test_routes_that_change_the_engine_are_not_reachable(world: World, path: str) -> None:
    answer = httpx.post(f"{world.runtime.url}{path}", json={"lora_name": "x", "lora_path": "/x"}, timeout=10)
    assert answer.status_code == 404


def _models(world: World) -> set[str]:
    return {card["id"] for card in httpx.get(f"{world.runtime.url}/v1/models", timeout=10).json()["data"]}


def _text(line: str) -> str:
    return str(json.loads(line.removeprefix("data: "))["choices"][0]["text"])
