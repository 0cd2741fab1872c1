"""`python -m bench.xlora`: X-LoRA on vLLM against PEFT's, and against the plain base model."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench.report import documents
from bench.report.session import ModelOption, OutOption, QuickOption, SeedOption, Session
from bench.served.world import Model
from bench.xlora.page import document, page
from bench.xlora.results import key_figures, result_of
from bench.xlora.run import run
from bench.xlora.settings import settings
from bench.xlora.world import build

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def xlora(
    model: ModelOption = Model.SMOLLM2,
    quick: QuickOption = False,
    prompt_tokens: Annotated[
        int, typer.Option(min=1, max=256, help="Of each prompt: PEFT computes them anew for every token.")
    ] = 96,
    seed: SeedOption = 0,
    out: OutOption = documents.FOLDER,
) -> None:
    """Have the same prompts continued by all three in turns; check every answer against PEFT."""
    session = Session("xlora")
    wanted = settings(model, seed=seed, prompt_tokens=prompt_tokens, quick=quick)
    with tempfile.TemporaryDirectory(prefix="bench-xlora-") as folder:
        result = result_of(run(Path(folder), build(Path(folder), wanted), wanted, session.tell))
    for mismatch in result.mismatches[:5]:
        session.tell(f"mismatch: {mismatch}")
    key = key_figures(result)
    session.end(out, key, partial(document, result, key), partial(page, result, key), bad=bool(key["mismatches"]))
