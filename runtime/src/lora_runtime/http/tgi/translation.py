"""TGI's requests as completions, and completions as TGI's answers. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lora_runtime.engine.completing import Json, ServerFacts
from lora_runtime.http.tgi import pieces
from lora_runtime.http.tgi.messages import (
    MAX_BEST_OF,
    MAX_STOP_SEQUENCES,
    GenerateRequest,
    Grammar,
)

_ID = "token_id:"
"""How vLLM writes a token that is named by its number."""
_LENGTH = "length"


class Vocabulary(Protocol):
    """What tokens are; see Completions."""

    def text_of(self, token: int) -> str:
        """As it is written by itself."""
        ...

    def is_special(self, token: int) -> bool:
        """Whether answers do not show it."""
        ...


def completion(asked: GenerateRequest, base: str, *, stream: bool) -> Json:
    """The request for a completion that answers what was asked.

    Everything is said: what a model's generation_config.json proposes is not heeded, as TGI does not.
    """
    wish = asked.parameters
    body: dict[str, Any] = {
        "model": wish.adapter_id or base,
        "prompt": asked.inputs,
        "add_special_tokens": asked.add_special_tokens,
        "max_tokens": wish.new_tokens,
        "n": wish.best,
        "temperature": (wish.temperature or 1.0) if wish.samples else 0.0,
        "top_p": wish.top_p or 1.0,
        "top_k": wish.top_k or 0,
        "min_p": 0.0,
        "repetition_penalty": wish.repetition_penalty or 1.0,
        "frequency_penalty": wish.frequency_penalty or 0.0,
        "presence_penalty": 0.0,
        "seed": wish.seed,
        "stop": list(wish.stop or ()),
        # TGI's answers end with what stopped them.
        "include_stop_str_in_output": True,
        "return_token_ids": True,
    }
    if wish.truncate is not None:
        body |= {"truncate_prompt_tokens": wish.truncate, "truncation_side": "left"}
    if stream or wish.wants_details or wish.best > 1:
        body |= {"logprobs": wish.top_n_tokens or 0, "return_tokens_as_token_ids": True}
    if wish.decoder_input_details:
        body["prompt_logprobs"] = 0
    if wish.grammar is not None:
        body["structured_outputs"] = _constraint(wish.grammar)
    return body


def _constraint(grammar: Grammar) -> Json:
    if grammar.type == "regex":
        return {"regex": grammar.value}
    schema = grammar.value
    if grammar.type == "json_schema" and isinstance(schema, Mapping):
        schema = schema.get("schema", schema)
    return {"json": schema}


def answer(asked: GenerateRequest, completed: Json, words: Vocabulary) -> Json:
    """TGI's answer, made of a completion."""
    wish = asked.parameters
    choices: list[Json] = sorted(completed["choices"], key=_mean_logprob, reverse=True)
    before = asked.inputs if wish.return_full_text else ""
    found: dict[str, Any] = {"generated_text": before + choices[0]["text"]}
    if wish.wants_details:
        found["details"] = _details(asked, choices[0], words)
        if wish.best > 1:
            found["details"]["best_of_sequences"] = [
                {"generated_text": before + choice["text"], **_details(asked, choice, words)} for choice in choices[1:]
            ]
    return found


def _details(asked: GenerateRequest, choice: Json, words: Vocabulary) -> dict[str, Any]:
    tokens = _tokens(choice, words)
    wish = asked.parameters
    found: dict[str, Any] = {
        "finish_reason": _finish_reason(choice),
        "generated_tokens": len(tokens),
        "seed": wish.seed if wish.samples else None,
        "prefill": list(_prefill(choice, words)) if wish.decoder_input_details else [],
        "tokens": tokens,
    }
    if wish.top_n_tokens:
        found["top_tokens"] = _top_tokens(choice, wish.top_n_tokens, words)
    return found


def _mean_logprob(choice: Json) -> float:
    """By which the best of several answers is chosen."""
    logprobs = (choice.get("logprobs") or {}).get("token_logprobs") or ()
    return math.fsum(logprobs) / len(logprobs) if logprobs else -math.inf


def _tokens(choice: Json, words: Vocabulary) -> list[Json]:
    """The tokens of an answer, or of a piece of it."""
    ids: Sequence[int] = choice.get("token_ids") or ()
    logprobs = choice["logprobs"]["token_logprobs"] if choice.get("logprobs") else ()
    texts = pieces.split(choice["text"], [words.text_of(token) for token in ids])
    return [
        {"id": token, "text": text, "logprob": logprob, "special": words.is_special(token)}
        for token, text, logprob in zip(ids, texts, logprobs, strict=True)
    ]


def _top_tokens(choice: Json, most: int, words: Vocabulary) -> list[list[Json]]:
    found: list[list[Json]] = []
    for by_token in choice["logprobs"]["top_logprobs"]:
        listed = sorted(by_token.items(), key=lambda entry: -entry[1])[:most]
        ids = ((int(name.removeprefix(_ID)), logprob) for name, logprob in listed)
        found.append(
            [{"id": i, "text": words.text_of(i), "logprob": lp, "special": words.is_special(i)} for i, lp in ids]
        )
    return found


def _prefill(choice: Json, words: Vocabulary) -> Iterator[Json]:
    ids = choice["prompt_token_ids"] or ()
    for token, found in zip(ids, choice["prompt_logprobs"] or (None,) * len(ids), strict=True):
        # What JSON makes of a number as a key.
        known = None if found is None else found.get(token) or found.get(str(token))
        yield {"id": token, "text": words.text_of(token), "logprob": None if known is None else known["logprob"]}


def _finish_reason(choice: Json) -> str:
    if choice["finish_reason"] == _LENGTH:
        return _LENGTH
    # A token that stops is a number there, and nothing for the one of the tokenizer.
    return "stop_sequence" if isinstance(choice.get("stop_reason"), str) else "eos_token"


@dataclass(slots=True)
class Streamed:
    """One answer on its way out, piece by piece."""

    asked: GenerateRequest
    words: Vocabulary
    finished: bool = False
    _text: list[str] = field(default_factory=list)
    _count: int = 0
    _input_length: int = 0

    def events(self, chunk: Json) -> Iterator[Json]:
        """What a chunk of a completion comes to: one event for each token."""
        for choice in chunk["choices"]:
            if choice.get("prompt_token_ids"):
                self._input_length = len(choice["prompt_token_ids"])
            yield from self._of(choice)

    def _of(self, choice: Json) -> Iterator[Json]:
        self._text.append(choice["text"])
        ends = choice.get("finish_reason") is not None
        tokens = _tokens(choice, self.words)
        if not tokens and ends:
            tokens = [{"id": 0, "text": choice["text"], "logprob": 0.0, "special": True}]
        most = self.asked.parameters.top_n_tokens
        tops = _top_tokens(choice, most, self.words) if most and choice.get("logprobs") else []
        for number, token in enumerate(tokens):
            self._count += 1
            event: dict[str, Any] = {"index": self._count, "token": token, "generated_text": None, "details": None}
            if number < len(tops):
                event["top_tokens"] = tops[number]
            if ends and number == len(tokens) - 1:
                event |= self._end(choice)
            yield event

    def _end(self, choice: Json) -> Json:
        self.finished = True
        wish = self.asked.parameters
        before = self.asked.inputs if wish.return_full_text else ""
        details = {
            "finish_reason": _finish_reason(choice),
            "generated_tokens": self._count,
            "input_length": self._input_length,
            "seed": wish.seed if wish.samples else None,
        }
        return {"generated_text": before + "".join(self._text), "details": details if wish.details else None}


def info(facts: ServerFacts, version: str) -> Json:
    """What TGI tells of itself."""
    return {
        "model_id": facts.base,
        "model_sha": None,
        "model_dtype": facts.dtype,
        "model_device_type": facts.device,
        "model_pipeline_tag": "text-generation",
        "max_concurrent_requests": facts.max_sequences,
        "max_best_of": MAX_BEST_OF,
        "max_stop_sequences": MAX_STOP_SEQUENCES,
        "max_input_tokens": facts.max_model_len - 1,
        "max_total_tokens": facts.max_model_len,
        "max_client_batch_size": 1,
        "validation_workers": 1,
        "router": "lora-runtime",
        "version": version,
        "sha": None,
        "docker_label": None,
    }


_KINDS: Mapping[int, tuple[int, str]] = {
    400: (422, "validation"),
    404: (404, "validation"),
    422: (422, "validation"),
    429: (429, "overloaded"),
    503: (503, "overloaded"),
}
"""By the status of the completions' server: TGI's status, and its word for the kind."""


def failure(status: int, message: str) -> tuple[int, Json]:
    """TGI's status and error for a failure of the completions' server."""
    told, kind = _KINDS.get(status, (424, "generation"))
    # The names that TGI's clients know for what an error is about.
    prefix = {"generation": "Request failed during generation: ", "validation": "Input validation error: "}.get(
        kind, ""
    )
    return told, {"error": prefix + message, "error_type": kind}


INCOMPLETE: tuple[int, Json] = (500, {"error": "Incomplete generation", "error_type": "incomplete_generation"})
