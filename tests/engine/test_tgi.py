"""TGI's API, asked by the client that people use for it, and held against the OpenAI routes and PEFT."""

import re
from collections.abc import Iterator

import httpx
import pytest
from huggingface_hub import (
    InferenceClient,
    TextGenerationInputGrammarType,
    TextGenerationOutput,
    TextGenerationStreamOutput,
)
from huggingface_hub.errors import OverloadedError, ValidationError

from engine.conftest import TOKENS, World
from lora_api.runtime_api import DesiredAdapter
from support.models import reference, reference_logprobs

PROMPT = "Ask a pirate what he knows"
OTHER = "The capital of Italy is"


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[World]:
    world.serve(x=world.spec(("a", 0.7)), y=world.spec(("b", 1.0)))
    yield world
    world.serve()


@pytest.fixture
def client(served: World) -> InferenceClient:
    return InferenceClient(served.runtime.url, timeout=60)


def openai(world: World, model: str, prompt: str = PROMPT, **options: object) -> dict[str, object]:
    """The choice of a greedy completion by the OpenAI route."""
    body = {
        "model": model,
        "prompt": prompt,
        "max_tokens": TOKENS,
        "temperature": 0,
        "return_token_ids": True,
        **options,
    }
    answer = world.http.post(f"{world.runtime.url}/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["choices"][0])


@pytest.mark.parametrize("name", ["x", "y", "base", None])
def test_the_adapter_that_is_asked_for_answers_as_by_the_openai_route(
    served: World, client: InferenceClient, name: str | None
) -> None:
    text = client.text_generation(PROMPT, adapter_id=name, max_new_tokens=TOKENS)
    assert text == openai(served, name or "base")["text"]


def test_tokens_and_their_logprobs_are_those_of_peft(served: World, client: InferenceClient) -> None:
    found = client.text_generation(
        PROMPT, adapter_id="x", max_new_tokens=TOKENS, details=True, decoder_input_details=True, return_full_text=True,
        top_n_tokens=2,
    )  # fmt: skip
    assert isinstance(found, TextGenerationOutput)
    assert found.details is not None
    parts = [(served.adapter("a"), 0.7)]
    expected = reference(served.base, parts, PROMPT, TOKENS)
    ids = [token.id for token in found.details.tokens]
    assert ids == list(expected.tokens[: len(ids)])
    for position, token in enumerate(found.details.tokens):
        assert token.logprob == pytest.approx(float(expected.logprobs[position, token.id]), abs=1e-3)
    assert "".join(token.text for token in found.details.tokens) == found.generated_text.removeprefix(PROMPT)
    assert found.details.top_tokens is not None
    # The client leaves what is in lists of lists as it came.
    likeliest = [dict(tops[0])["id"] for tops in found.details.top_tokens]
    assert likeliest == ids
    prompt = [token.id for token in found.details.prefill]
    second = float(reference_logprobs(served.base, parts, prompt[:1])[prompt[1]])
    assert found.details.prefill[1].logprob == pytest.approx(second, abs=1e-3)


def test_a_stream_is_the_same_answer_token_by_token(served: World, client: InferenceClient) -> None:
    whole = client.text_generation(PROMPT, adapter_id="y", max_new_tokens=TOKENS, details=True)
    texts = list(client.text_generation(PROMPT, adapter_id="y", max_new_tokens=TOKENS, stream=True))
    assert isinstance(whole, TextGenerationOutput)
    assert whole.details is not None
    assert "".join(map(str, texts)) == whole.generated_text
    events = list(client.text_generation(PROMPT, adapter_id="y", max_new_tokens=TOKENS, stream=True, details=True))
    told = [event for event in events if isinstance(event, TextGenerationStreamOutput)]
    assert [event.token.id for event in told] == [token.id for token in whole.details.tokens]
    assert [event.index for event in told] == list(range(1, len(told) + 1))
    last = told[-1]
    assert last.generated_text == whole.generated_text
    assert last.details is not None
    assert last.details.finish_reason == whole.details.finish_reason
    assert last.details.generated_tokens == len(told)
    assert last.details.input_length > 1


def test_parameters_are_those_of_the_openai_route(served: World, client: InferenceClient) -> None:
    drawn = client.text_generation(PROMPT, adapter_id="x", max_new_tokens=TOKENS, temperature=0.9, top_k=20, seed=7)
    assert drawn == openai(served, "x", temperature=0.9, top_k=20, seed=7)["text"]
    repelled = client.text_generation(PROMPT, adapter_id="x", max_new_tokens=TOKENS, repetition_penalty=1.5)
    assert repelled == openai(served, "x", repetition_penalty=1.5)["text"]
    cut = client.text_generation(f"{OTHER} {PROMPT}", adapter_id="x", max_new_tokens=TOKENS, truncate=4)
    assert cut == openai(served, "x", f"{OTHER} {PROMPT}", truncate_prompt_tokens=4, truncation_side="left")["text"]


def test_an_answer_ends_with_what_stops_it(served: World, client: InferenceClient) -> None:
    text = str(client.text_generation(PROMPT, adapter_id="x", max_new_tokens=TOKENS))
    stop = text[2:4]
    found = client.text_generation(PROMPT, adapter_id="x", max_new_tokens=TOKENS, stop=[stop], details=True)
    assert isinstance(found, TextGenerationOutput)
    assert found.details is not None
    assert found.generated_text == text[: text.index(stop) + len(stop)]
    assert found.details.finish_reason == "stop_sequence"


@pytest.mark.parametrize(("grammar", "form"), [
    ({"type": "regex", "value": "[ab]{4}"}, "[ab]{4}"),
    ({"type": "json", "value": {"type": "boolean"}}, "true|false"),
    ({"type": "json_schema", "value": {"name": "n", "schema": {"type": "boolean"}}}, "true|false"),
], ids=str)  # fmt: skip
def test_an_answer_has_the_form_of_its_grammar(client: InferenceClient, grammar: dict[str, object], form: str) -> None:
    wish = TextGenerationInputGrammarType.parse_obj_as_instance(grammar)
    text = client.text_generation(PROMPT, adapter_id="x", max_new_tokens=TOKENS, grammar=wish)
    assert re.fullmatch(form, str(text).strip()), text


def test_of_two_drawn_answers_the_likelier_comes_first(client: InferenceClient) -> None:
    found = client.text_generation(PROMPT, max_new_tokens=4, best_of=2, do_sample=True, details=True)
    assert isinstance(found, TextGenerationOutput)
    assert found.details is not None
    others = found.details.best_of_sequences
    assert others is not None
    best, other = (
        sum(token.logprob for token in tokens) / len(tokens) for tokens in (found.details.tokens, others[0].tokens)
    )
    assert best >= other


def test_a_name_that_nobody_declared_is_404_and_one_that_is_not_served_yet_is_503_with_the_time_to_wait(
    served: World, client: InferenceClient
) -> None:
    spec = served.spec(("a", 0.7))
    served.declare(
        DesiredAdapter(name="x", uid="x", serve=spec),
        DesiredAdapter(name="y", uid="y", serve=served.spec(("b", 1.0))),
        DesiredAdapter(name="later", uid="later"),
    )
    for stream in (False, True):
        with pytest.raises(ValidationError, match=r"`nobody` does not exist\. Served here: base, x, y"):
            client.text_generation(PROMPT, adapter_id="nobody", stream=stream)
        with pytest.raises(OverloadedError, match="`later` is declared but not served yet"):
            client.text_generation(PROMPT, adapter_id="later", stream=stream)
    for path in ("/generate", "/generate_stream", "/"):
        for name, status, kind in (("nobody", 404, "validation"), ("later", 503, "overloaded")):
            body = {"inputs": PROMPT, "parameters": {"adapter_id": name}}
            answer = served.http.post(served.runtime.url + path, json=body)
            assert (answer.status_code, answer.json()["error_type"]) == (status, kind), path
            assert ("retry-after" in answer.headers) is (status == 503)


def test_what_cannot_be_answered_is_422_in_tgis_words(served: World, client: InferenceClient) -> None:
    with pytest.raises(ValidationError, match="watermark is not supported"):
        client.text_generation(PROMPT, watermark=True)
    for parameters in ({"max_new_tokens": 5000}, {"temperature": -1}):
        answer = served.http.post(f"{served.runtime.url}/generate", json={"inputs": PROMPT, "parameters": parameters})
        assert answer.status_code == 422, answer.text
        assert answer.json()["error_type"] == "validation"
        assert answer.json()["error"].startswith("Input validation error: ")


def test_the_routes_are_tgis(served: World) -> None:
    url, http = served.runtime.url, served.http
    body = {"inputs": PROMPT, "parameters": {"adapter_id": "x", "max_new_tokens": 3}}
    one = http.post(f"{url}/generate", json=body).json()
    assert http.post(f"{url}/", json=body).json() == [one]
    for path, extra in (("/generate_stream", {}), ("/", {"stream": True})):
        answer = http.post(url + path, json=body | extra)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.text.count("data:") == 3
    info = http.get(f"{url}/info").json()
    assert (info["model_id"], info["max_total_tokens"]) == ("base", 512)
    assert http.get(f"{url}/").status_code in (404, 405)


def test_requests_are_counted_as_those_of_the_openai_routes(served: World, client: InferenceClient) -> None:
    def counted() -> dict[str, float]:
        lines = httpx.get(f"{served.runtime.url}/metrics").text.splitlines()
        kept = [line for line in lines if line.startswith("lora_runtime_") and 'adapter="x"' in line]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in kept}

    before = counted()
    client.text_generation(PROMPT, adapter_id="x", max_new_tokens=5)
    list(client.text_generation(PROMPT, adapter_id="x", max_new_tokens=5, stream=True))
    after = counted()
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    assert next(v for name, v in grown.items() if "requests_total" in name and 'outcome="ok"' in name) == 2
    assert next(v for name, v in grown.items() if "generation_tokens_total" in name) == 10


def test_a_swap_waits_for_a_stream_that_began_before(served: World, client: InferenceClient) -> None:
    old, new = served.spec(("a", 0.7)), served.spec(("a", -0.5))
    keep = DesiredAdapter(name="y", uid="y", serve=served.spec(("b", 1.0)))
    expected = str(client.text_generation(PROMPT, adapter_id="x", max_new_tokens=300))
    stream = client.text_generation(PROMPT, adapter_id="x", max_new_tokens=300, stream=True)
    told = [str(next(stream))]
    served.declare(DesiredAdapter(name="x", uid="x", serve=new), keep)
    told += map(str, stream)
    assert "".join(told) == expected, "it ends on the weights that it began with"
    served.until(lambda inventory: {r.revision for r in inventory.by_name["x"].revisions} == {new.revision})
    served.serve(x=old, y=keep.serve or old)


def test_who_leaves_in_the_middle_of_a_stream_holds_nothing_back(served: World) -> None:
    keep = DesiredAdapter(name="y", uid="y", serve=served.spec(("b", 1.0)))
    body = {"inputs": PROMPT, "parameters": {"adapter_id": "x", "max_new_tokens": 400}}
    with httpx.stream("POST", f"{served.runtime.url}/generate_stream", json=body, timeout=60) as answer:
        next(answer.iter_lines())
    served.declare(keep)
    served.until(lambda inventory: set(inventory.by_name) == {"y"})
