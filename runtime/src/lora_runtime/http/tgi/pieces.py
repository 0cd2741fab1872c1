"""Which part of an answer's text each of its tokens brought. Pure."""

from collections.abc import Sequence

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
_LONGEST_CHARACTER = 4
"""Tokens that are parts of one character, at most, in UTF-8."""


def split(text: str, tokens: Sequence[str]) -> list[str]:
    """Parts of `text`, one for each token, that put together are `text`.

    A token written by itself differs from what it is in its place: it may be half a character, lack the space before it,
    or not be shown at all.

    Args:
        text: what all the tokens brought together.
        tokens: each as it is written by itself.
    """
    parts = [""] * len(tokens)
    position = 0
    unmatched = False
    for number, token in enumerate(tokens):
        # Behind parts of a character, which only the last of them has made whole.
        for skipped in range(_LONGEST_CHARACTER + 1 if unmatched else 1):
            length = _length(text, token, position + skipped)
            if length:
                break
        else:
            unmatched = True
            continue
        if skipped:
            parts[number - 1] += text[position : position + skipped]
        begin = position + skipped
        parts[number] = text[begin : begin + length]
        position, unmatched = begin + length, False
    if parts:
        parts[-1] += text[position:]
    return parts


def _length(text: str, token: str, begin: int) -> int:
    """How much of the text the token is there; 0 when it is not."""
    if not token or _UNFINISHED in token:
        return 0
    return next((len(seen) for seen in (token, f" {token}") if text.startswith(seen, begin)), 0)
