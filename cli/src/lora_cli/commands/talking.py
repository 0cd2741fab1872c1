"""`chat` and `compare`: what served names answer."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from lora_cli import options, output
from lora_cli.clients.serving import Serving
from lora_cli.domain.objects import Json
from lora_cli.domain.talk import Piece, said_by, visible
from lora_cli.session import Session

_AT_ONCE_MOST = 8

MaxTokens = Annotated[int, typer.Option(min=1, help="Length of the longest answer, in tokens.")]
Temperature = Annotated[float, typer.Option(min=0, help="0: always the likeliest token.")]
System = Annotated[str | None, typer.Option(help="What the model is told before anything else.")]


def chat(
    name: options.ServedName,
    message: Annotated[str | None, typer.Argument(help="Ask this and end; without it, a conversation.")] = None,
    system: System = None,
    max_tokens: MaxTokens = 512,
    temperature: Temperature = 0.7,
    output_format: options.Output = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Talk with an adapter; an empty line or the end of input ends it."""
    if output_format is not None and message is None:
        raise typer.BadParameter(
            "data is printed of one answer: put the question behind the name", param_hint="--output"
        )
    session = Session.of(namespace, context, kubeconfig, server=server, api_key=api_key)
    serving = session.serving(name)
    talk: list[Json] = [] if system is None else [{"role": "system", "content": system}]
    for question in _questions(serving, message):
        talk.append({"role": "user", "content": question})
        answer = serving.chat(talk, {"max_tokens": max_tokens, "temperature": temperature})
        if output_format is not None:
            output.dump(_data(name, said_by(answer)), output_format)
            return
        said = said_by(map(_written, answer))
        sys.stdout.write("\n")
        if serving.keeps_scalings and said.answer_id is not None:
            output.note("which expert answered: " + session.typed(f"scalings {name} {said.answer_id}"))
        talk.append({"role": "assistant", "content": said.text})


def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME... PROMPT",
            help="Adapters or models, and last the question to all of them.",
            autocompletion=options.adapter_names,
        ),
    ],
    system: System = None,
    max_tokens: MaxTokens = 256,
    temperature: Temperature = 0.0,
    output_format: options.Output = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Ask several adapters the same, and show their answers side by side."""
    *asked, prompt = names
    if not 1 <= len(asked) <= _AT_ONCE_MOST:
        raise typer.BadParameter(f"name one to {_AT_ONCE_MOST} adapters, and last the question in quotes")
    session = Session.of(namespace, context, kubeconfig, server=server, api_key=api_key)
    talk: list[Json] = [] if system is None else [{"role": "system", "content": system}]
    talk.append({"role": "user", "content": prompt})
    how = {"max_tokens": max_tokens, "temperature": temperature}
    servings = [session.serving(name) for name in asked]
    with ThreadPoolExecutor(len(servings)) as threads:
        answers = list(threads.map(lambda serving: said_by(serving.chat(talk, how)), servings))
    if output_format is not None:
        output.dump([_data(name, said) for name, said in zip(asked, answers, strict=True)], output_format)
    else:
        output.beside({name: said.text for name, said in zip(asked, answers, strict=True)})


def _written(piece: Piece) -> Piece:
    sys.stdout.write(visible(piece.text) if sys.stdout.isatty() else piece.text)
    sys.stdout.flush()
    return piece


def _data(name: str, said: Piece) -> Json:
    return {"name": name, "id": said.answer_id, "answer": said.text, "finishReason": said.finish_reason}


def _questions(serving: Serving, message: str | None) -> Iterator[str]:
    if message is not None:
        yield message
        return
    asks = sys.stdin.isatty()
    if asks:
        output.note(f"talking with {serving.name}; an empty line ends it")
    while True:
        try:
            line = input(f"{serving.name}> " if asks else "").strip()
        except EOFError:
            return
        if not line:
            return
        yield line
