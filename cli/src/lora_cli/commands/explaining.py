"""`scalings`: which expert of a mixture answered."""

from typing import Annotated

import typer
from rich.text import Text

from lora_cli import heat, options, output
from lora_cli.domain.objects import Json
from lora_cli.domain.scalings import Generation, Row, rows
from lora_cli.errors import Failed
from lora_cli.kept_scalings import Kept, kept_scalings
from lora_cli.session import Session


def scalings(
    name: options.ModelName,
    answer_id: Annotated[
        str, typer.Argument(metavar="ID", help="The `id` of the answer, or the X-Request-Id sent for it.")
    ],
    layer: Annotated[
        str | None,
        typer.Option(help="Name or number of a layer, or `all` for a line each; the mean over them when not given."),
    ] = None,
    token: Annotated[
        int | None, typer.Option(min=0, help="This token alone, counted from 0; each, or their mean with --layer all.")
    ] = None,
    output_format: options.Output = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Show how much of each expert of a mixture (X-LoRA) each token of an answer got."""
    session = Session.of(namespace, context, kubeconfig, server=server, api_key=api_key)
    kept = kept_scalings(session, name, answer_id)
    chosen = [(found, rows(found, layer, token)) for found in kept.generations]
    try:
        texts = kept.texts()
    except Failed as failed:
        output.note(f"tokens are shown by their place alone: {failed}")
        texts = {}
    if output_format is not None:
        output.dump(_data(kept, chosen, texts), output_format)
        return
    out = output.console()
    for number, (found, lines) in enumerate(chosen):
        if len(chosen) > 1:
            out.print(Text(f"prompt {number}", style="bold"))
        out.print(heat.heat_map(found, lines, texts))


def _data(kept: Kept, chosen: list[tuple[Generation, tuple[Row, ...]]], texts: dict[int, str]) -> Json:
    return {
        "id": kept.answer_id,
        "pod": kept.pod,
        "generations": [
            {
                "promptTokens": found.prompt_tokens,
                "experts": list(found.experts),
                "layers": list(found.layers),
                "rows": [_row(found, row, texts) for row in lines],
            }
            for found, lines in chosen
        ],
    }


def _row(found: Generation, row: Row, texts: dict[int, str]) -> Json:
    text = texts.get(found.tokens[row.token]) if row.token is not None and found.tokens else None
    return {"token": row.token, "text": text, "layer": row.layer, "scalings": list(row.scalings)}
