"""How much of each expert each token of an answer got: from what a pod tells to the rows of a heat map."""

import base64
import binascii
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lora_api.error_codes import ErrorCode
from lora_cli.domain.objects import Model
from lora_cli.domain.talk import visible
from lora_cli.errors import Failed

ALL = "all"
_NAMED_MOST = 4
_SEEN = str.maketrans({" ": "·", "\n": "↵", "\t": "→"})

Values = tuple[float, ...]
"""One for each expert."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What one prompt and its answer were computed with."""

    prompt_tokens: int
    tokens: tuple[int, ...]
    """Ids of the tokens; empty from a pod that does not tell them."""
    experts: tuple[str, ...]
    layers: tuple[str, ...]
    """Adapted modules; empty where all of them get the same."""
    scalings: tuple[tuple[Values, ...], ...]
    """By token and layer."""

    def mean(self, token: int) -> Values:
        """Over the layers."""
        return _mean(self.scalings[token])


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a heat map: of a token, of a layer, or of both; None is the mean over all."""

    token: int | None
    layer: str | None
    scalings: Values


def refusal(model: Model) -> Failed | None:
    """Why a model's pods cannot know any scalings; None if they can."""
    name, mixture = model.meta.name, model.spec.mixture
    if mixture is None:
        return Failed(
            ErrorCode.INVALID,
            f"{name} is no mixture of experts: only a LoRAModel with spec.mixture has scalings",
            then=f"kubectl get loramodels -n {model.meta.namespace}",
        )
    if mixture.scalings_kept == 0:
        return Failed(
            ErrorCode.INVALID,
            f"pods of {name} keep no scalings: set spec.mixture.scalingsKept to the number of answers to keep them of (the pods "
            f"restart, one by one), and ask again",
            then=f"kubectl edit loramodel {name} -n {model.meta.namespace}",
        )
    return None


def generation_of(told: Mapping[str, Any]) -> Generation:
    """One generation, as a pod tells it.

    Raises:
        Failed: it is not what this version understands.
    """
    try:
        tokens, layers, experts = told["shape"]
        if told["dtype"] != "float16":
            raise ValueError(f"numbers of type {told['dtype']}")
        values = struct.iter_unpack(f"<{experts}e", base64.b64decode(told["scalings"], validate=True))
        rows = tuple(tuple(next(values) for _ in range(layers)) for _ in range(tokens))
        if next(values, None) is not None:
            raise ValueError("more numbers than its shape says")
        names = len(told["experts"]), max(1, len(told["layers"])), len(told.get("tokens") or rows)
        if names != (experts, layers, tokens):
            raise ValueError("its shape is not that of its names")
        found = Generation(
            told["promptTokens"], tuple(told.get("tokens", ())), tuple(told["experts"]), tuple(told["layers"]), rows
        )
    except (KeyError, TypeError, ValueError, RuntimeError, struct.error, binascii.Error) as error:
        raise Failed(
            ErrorCode.INVALID, f"the pod's scalings are not understood, of another version perhaps: {error}"
        ) from error
    return found


def rows(found: Generation, layer: str | None = None, token: int | None = None) -> tuple[Row, ...]:
    """The lines of a heat map.

    Args:
        found: What is drawn.
        layer: Name or number of one; `all` for a line each; None for the mean over them.
        token: Of this one alone; else of each, or with all layers the mean over them.

    Raises:
        Failed: there is no such token or layer.
    """
    if token is not None and token >= len(found.scalings):
        raise Failed(
            ErrorCode.INVALID, f"there is no token {token}: scalings are known of {len(found.scalings)}, counted from 0"
        )
    tokens = range(len(found.scalings)) if token is None else (token,)
    if layer is None:
        return tuple(Row(one, None, found.mean(one)) for one in tokens)
    if layer == ALL:
        return tuple(_by_layer(found, token, tokens))
    place = _place(found.layers, layer)
    return tuple(Row(one, found.layers[place], found.scalings[one][place]) for one in tokens)


def label(text: str) -> str:
    """A token's text on one line, with its spaces."""
    return visible(text).translate(_SEEN)


def _by_layer(found: Generation, token: int | None, tokens: Iterable[int]) -> Iterator[Row]:
    if not found.layers:
        raise _all_the_same()
    chosen = list(tokens)
    if not chosen:
        return
    for place, name in enumerate(found.layers):
        yield Row(token, name, _mean(found.scalings[one][place] for one in chosen))


def _place(layers: tuple[str, ...], wanted: str) -> int:
    if not layers:
        raise _all_the_same()
    if wanted in layers:
        return layers.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(layers):
        return int(wanted)
    some = ", ".join(layers[:_NAMED_MOST])
    raise Failed(
        ErrorCode.INVALID,
        f"there is no layer {wanted!r}: there are {len(layers)}, counted from 0, such as {some}; --layer all shows each",
    )


def _all_the_same() -> Failed:
    return Failed(
        ErrorCode.INVALID,
        "all layers of this mixture get the same scalings (layerwiseScalings is false): leave --layer out",
    )


def _mean(values: Iterable[Values]) -> Values:
    columns = list(zip(*values, strict=True))
    return tuple(sum(column) / len(column) for column in columns)
