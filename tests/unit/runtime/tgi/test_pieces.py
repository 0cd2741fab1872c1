"""Which part of a text each token brought."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_runtime.http.tgi import pieces

BROKEN = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(("text", "tokens", "parts"), [
    ("Paris is", ["Paris", " is"], ["Paris", " is"]),
    (" Paris is", ["Paris", "is"], [" Paris", " is"]),
    ("é!", [BROKEN, BROKEN, "!"], ["", "é", "!"]),
    ("a é", ["a", " ", BROKEN, BROKEN], ["a", " ", "", "é"]),
    ("Rome", ["Rome", "<|end|>"], ["Rome", ""]),
    ("Rome.", ["Rome", "<|x|>", "."], ["Rome", "", "."]),
    ("", ["<|end|>"], [""]),
    ("", [], []),
    ("left", ["right"], ["left"]),
], ids=str)  # fmt: skip
def test_each_token_has_what_it_brought(text: str, tokens: list[str], parts: list[str]) -> None:
    assert pieces.split(text, tokens) == parts


@given(st.text(), st.lists(st.text(max_size=3), min_size=1))
def test_the_parts_are_the_text_whatever_the_tokens_are(text: str, tokens: list[str]) -> None:
    assert "".join(pieces.split(text, tokens)) == text


@given(st.lists(st.text(alphabet=st.characters(exclude_characters=BROKEN), min_size=1), min_size=1))
def test_tokens_that_are_the_text_keep_their_own(tokens: list[str]) -> None:
    assert pieces.split("".join(tokens), tokens) == tokens
