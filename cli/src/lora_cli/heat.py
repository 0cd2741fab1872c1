"""The scalings of an answer as heat maps in a terminal."""

import math
from collections.abc import Iterable

from rich.style import Style
from rich.table import Table
from rich.text import Text

from lora_cli.domain.scalings import Generation, Row, label

_PAPER = (24, 26, 34)
_HOT = (255, 176, 59)
_COLD = (92, 148, 255)
"""Below zero, which there is without a softmax."""
_BRIGHT = 0.45
_MEAN = "mean"


def heat_map(found: Generation, rows: Iterable[Row], texts: dict[int, str]) -> Table:
    """Numbers, with colours behind them that reach from nothing to the largest."""
    shown = list(rows)
    largest = max((abs(value) for row in shown for value in row.scalings if math.isfinite(value)), default=0.0)
    made = Table(box=None, pad_edge=False, header_style="bold")
    of_tokens = any(row.token is not None for row in shown)
    of_layers = any(row.layer is not None for row in shown)
    if of_tokens:
        made.add_column("#", justify="right", style="dim")
        made.add_column("TOKEN", overflow="fold")
    if of_layers:
        made.add_column("LAYER", overflow="fold")
    for expert in found.experts:
        made.add_column(Text(expert), justify="right")
    for row in shown:
        cells = [_cell(value, largest) for value in row.scalings]
        named = [] if row.token is None else [Text(str(row.token)), _token(found, row.token, texts)]
        made.add_row(*named, *([Text(row.layer or _MEAN)] if of_layers else []), *cells)
    return made


def _token(found: Generation, token: int, texts: dict[int, str]) -> Text:
    text = texts.get(found.tokens[token], "") if found.tokens else ""
    return Text(label(text), style="" if token < found.prompt_tokens else "bold")


def _cell(value: float, largest: float) -> Text:
    share = min(1.0, abs(value) / largest) if largest and math.isfinite(value) else 0.0
    hue = _HOT if value > 0 else _COLD
    red, green, blue = (round(p + (h - p) * share) for p, h in zip(_PAPER, hue, strict=True))
    ink = "black" if share > _BRIGHT else "white"
    return Text(f" {value:.3f} ", style=Style(color=ink, bgcolor=f"rgb({red},{green},{blue})"))
