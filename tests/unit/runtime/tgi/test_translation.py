"""TGI's requests as completions, and completions as TGI's answers."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from lora_runtime.engine.completing import Json, ServerFacts
from lora_runtime.http.tgi import translation
from lora_runtime.http.tgi.messages import GenerateRequest, Invalid, read

WORDS = {1: " Rome", 2: ".", 9: "<|end|>"}


class Vocabulary:
    """A few tokens."""

    def text_of(self, token: int) -> str:
        return WORDS.get(token, str(token))

    def is_special(self, token: int) -> bool:
        return token == 9


def asked(*, inputs: str = "The capital is", **parameters: Any) -> GenerateRequest:
    return read(json.dumps({"inputs": inputs, "parameters": parameters}).encode())


def completion(*, stream: bool = False, **parameters: Any) -> Json:
    return translation.completion(asked(**parameters), "base", stream=stream)


def a_choice(ids: Sequence[int], text: str, *, reason: str | None = "stop", logprob: float = -0.5, **rest: Any) -> Json:
    logprobs = {
        "tokens": [f"token_id:{i}" for i in ids],
        "token_logprobs": [logprob] * len(ids),
        "top_logprobs": [{f"token_id:{i}": logprob, "token_id:7": -0.1} for i in ids],
    }
    return {
        "text": text,
        "token_ids": list(ids),
        "logprobs": logprobs,
        "finish_reason": reason,
        "stop_reason": None,
    } | rest


def test_nothing_said_is_greedy_and_a_hundred_tokens_of_the_base() -> None:
    found = completion()
    assert (found["model"], found["temperature"], found["max_tokens"]) == ("base", 0.0, 100)
    assert found["n"] == 1
    assert "logprobs" not in found


def test_without_any_parameters_answers_are_drawn() -> None:
    request = read(b'{"inputs": "a"}')
    assert translation.completion(request, "base", stream=False)["temperature"] == 1.0


@pytest.mark.parametrize(("parameters", "expected"), [
    ({"adapter_id": "pirate"}, {"model": "pirate"}),
    ({"max_new_tokens": 7}, {"max_tokens": 7}),
    ({"do_sample": True}, {"temperature": 1.0}),
    ({"temperature": 0.5}, {"temperature": 0.5}),
    ({"top_p": 0.9}, {"top_p": 0.9, "temperature": 1.0}),
    ({"top_k": 5}, {"top_k": 5, "temperature": 1.0}),
    ({"repetition_penalty": 1.2}, {"repetition_penalty": 1.2, "temperature": 0.0}),
    ({"frequency_penalty": -1}, {"frequency_penalty": -1}),
    ({"seed": 5, "do_sample": True}, {"seed": 5}),
    ({"stop": ["."]}, {"stop": ["."], "include_stop_str_in_output": True}),
    ({"truncate": 3}, {"truncate_prompt_tokens": 3, "truncation_side": "left"}),
    ({"details": True}, {"logprobs": 0, "return_tokens_as_token_ids": True}),
    ({"details": True, "top_n_tokens": 3}, {"logprobs": 3}),
    ({"decoder_input_details": True}, {"prompt_logprobs": 0, "logprobs": 0}),
    ({"best_of": 2, "do_sample": True}, {"n": 2, "logprobs": 0}),
    ({"grammar": {"type": "regex", "value": "a+"}}, {"structured_outputs": {"regex": "a+"}}),
    ({"grammar": {"type": "json", "value": {"type": "object"}}}, {"structured_outputs": {"json": {"type": "object"}}}),
    ({"grammar": {"type": "json_schema", "value": {"name": "x", "schema": {"type": "object"}}}},
     {"structured_outputs": {"json": {"type": "object"}}}),
    ({"watermark": False, "typical_p": 1.0, "top_p": None}, {"temperature": 0.0}),
], ids=str)  # fmt: skip
def test_each_parameter_means_what_it_means_to_tgi(parameters: dict[str, Any], expected: Json) -> None:
    found = completion(**parameters)
    assert {name: found[name] for name in expected} == expected


def test_what_a_models_own_configuration_proposes_is_not_heeded() -> None:
    assert {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "repetition_penalty",
        "frequency_penalty",
        "presence_penalty",
    } <= set(completion())


@pytest.mark.parametrize(("parameters", "says"), [
    ({"temperature": 0}, "parameters.temperature: Input should be greater than 0"),
    ({"top_p": 1.1}, "parameters.top_p"),
    ({"top_k": 0}, "parameters.top_k"),
    ({"max_new_tokens": 0}, "parameters.max_new_tokens"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "parameters.stop"),
    ({"repetition_penalty": 0}, "parameters.repetition_penalty"),
    ({"watermark": True}, "watermark is not supported"),
    ({"typical_p": 0.5}, "typical_p is not supported"),
    ({"best_of": 2}, "best_of above 1 needs do_sample"),
    ({"best_of": 2, "do_sample": True, "seed": 1}, "seed may not be set"),
    ({"best_of": 3, "do_sample": True}, "parameters.best_of"),
    ({"seed": -1}, "parameters.seed"),
], ids=str)  # fmt: skip
def test_what_cannot_be_kept_is_refused_with_its_name(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        asked(**parameters)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"inputs": ""}', b'{"inputs": 5}', b'{"inputs": "a", "parameters": 1}']
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        read(body)


def test_what_tgi_does_not_know_is_let_be() -> None:
    assert read(b'{"inputs": "a", "parameters": {"cache": true}, "options": {}}').inputs == "a"


@pytest.mark.parametrize("parameters", [{"best_of": 2, "do_sample": True}, {"decoder_input_details": True}], ids=str)
def test_what_is_known_at_the_end_cannot_be_streamed(parameters: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="cannot be streamed"):
        asked(**parameters).check_stream()


def test_an_answer_is_its_text() -> None:
    choice = {"text": " Rome.", "token_ids": [1, 2], "logprobs": None, "finish_reason": "length"}
    assert translation.answer(asked(), {"choices": [choice]}, Vocabulary()) == {"generated_text": " Rome."}
    found = translation.answer(asked(return_full_text=True), {"choices": [choice]}, Vocabulary())
    assert found == {"generated_text": "The capital is Rome."}


def test_details_tell_of_each_token() -> None:
    choice = a_choice([1, 9], " Rome")
    details = translation.answer(asked(details=True, seed=5, do_sample=True), {"choices": [choice]}, Vocabulary())[
        "details"
    ]
    assert details == {
        "finish_reason": "eos_token", "generated_tokens": 2, "seed": 5, "prefill": [],
        "tokens": [
            {"id": 1, "text": " Rome", "logprob": -0.5, "special": False},
            {"id": 9, "text": "", "logprob": -0.5, "special": True},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(("reason", "stop", "expected"), [
    ("length", None, "length"), ("stop", None, "eos_token"), ("stop", 7, "eos_token"), ("stop", ".", "stop_sequence"),
])  # fmt: skip
def test_how_it_ended_has_tgis_names(reason: str, stop: object, expected: str) -> None:
    choice = a_choice([1], " Rome", reason=reason, stop_reason=stop)
    found = translation.answer(asked(details=True), {"choices": [choice]}, Vocabulary())
    assert found["details"]["finish_reason"] == expected


def test_the_prompt_is_told_of_when_that_is_asked_for() -> None:
    prompt: dict[str, Any] = {
        "prompt_token_ids": [1, 2],
        "prompt_logprobs": [None, {"2": {"logprob": -3.0}, "5": {"logprob": -0.1}}],
    }
    choice = a_choice([1], " Rome", **prompt)
    found = translation.answer(asked(decoder_input_details=True), {"choices": [choice]}, Vocabulary())
    assert found["details"]["prefill"] == [
        {"id": 1, "text": " Rome", "logprob": None}, {"id": 2, "text": ".", "logprob": -3.0}
    ]  # fmt: skip


def test_the_likeliest_tokens_come_first() -> None:
    found = translation.answer(asked(details=True, top_n_tokens=1), {"choices": [a_choice([1], " Rome")]}, Vocabulary())
    assert [[token["id"] for token in position] for position in found["details"]["top_tokens"]] == [[7]]


def test_of_several_answers_the_likeliest_is_the_answer() -> None:
    choices = [a_choice([1], " Rome", logprob=-2.0), a_choice([2, 9], ".", logprob=-0.5)]
    found = translation.answer(asked(best_of=2, do_sample=True, details=True), {"choices": choices}, Vocabulary())
    assert found["generated_text"] == "."
    assert [other["generated_text"] for other in found["details"]["best_of_sequences"]] == [" Rome"]


def streamed(request: GenerateRequest, *choices: Json) -> list[Json]:
    """The events that these pieces come to; the first one knows the prompt."""
    stream = translation.Streamed(request, Vocabulary())
    first = {**choices[0], "prompt_token_ids": [5, 6, 7]}
    found = [event for choice in (first, *choices[1:]) for event in stream.events({"choices": [choice]})]
    assert stream.finished
    return found


def test_a_stream_has_an_event_for_each_token_and_the_whole_text_in_the_last() -> None:
    pieces = (a_choice([1], " Rome", reason=None), a_choice([2, 9], ".", reason="stop"))
    found = streamed(asked(details=True, return_full_text=True), *pieces)
    assert [event["index"] for event in found] == [1, 2, 3]
    assert [event["token"]["text"] for event in found] == [" Rome", ".", ""]
    assert [event["generated_text"] for event in found] == [None, None, "The capital is Rome."]
    assert found[-1]["details"] == {
        "finish_reason": "eos_token", "generated_tokens": 3, "input_length": 3, "seed": None
    }  # fmt: skip


def test_a_stream_tells_no_details_that_nobody_asked_for() -> None:
    assert streamed(asked(), a_choice([1], " Rome"))[-1]["details"] is None


def test_an_end_without_a_token_ends_the_stream_all_the_same() -> None:
    found = streamed(asked(), a_choice([1], " Rome", reason=None), a_choice([], "", reason="length"))
    assert found[-1]["generated_text"] == " Rome"


@pytest.mark.parametrize(("status", "told", "kind"), [
    (400, 422, "validation"), (404, 404, "validation"), (503, 503, "overloaded"), (429, 429, "overloaded"),
    (500, 424, "generation"),
])  # fmt: skip
def test_failures_have_tgis_status_and_kind(status: int, told: int, kind: str) -> None:
    found, error = translation.failure(status, "why")
    assert (found, error["error_type"]) == (told, kind)
    assert error["error"].endswith("why")


def test_info_says_what_clients_of_tgi_look_for() -> None:
    found = translation.info(ServerFacts("smol", 512, 16, "torch.float32", "cpu"), "1.0")
    assert (found["model_id"], found["max_total_tokens"], found["max_input_tokens"]) == ("smol", 512, 511)
