"""The act about the mixture: one question, put in four ways to one name, and which expert answered."""

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lora_cli.domain.scalings import Generation, generation_of
from lora_demo.place import MIXTURE
from lora_demo.story import QUESTION, StoryError
from lora_examples.asking import EXPERTS, WAYS

_LIT = 0.5


def show(url: str, console: Console) -> None:
    """Asks, and shows what was lit, the mean over the layers and the answer's tokens.

    Args:
        url: The server that the mixture's only pod is.
        console: Where it is shown.

    Raises:
        StoryError: a way of asking did not light its own expert most.
    """
    console.rule(f"[bold]Four ways to ask one name, model={MIXTURE}: {QUESTION}", align="left")
    table = Table("asked as", *EXPERTS, box=None, header_style="bold", padding=(0, 2))
    for voice in EXPERTS:
        text = WAYS[voice][1].format(question=QUESTION)
        answer_id, said = _ask(url, text)
        console.print(f"  [cyan]{escape(text)}[/cyan]\n    {escape(said)}", soft_wrap=True)
        lit = _lit(_scalings(url, answer_id))
        if max(lit, key=lit.__getitem__) != voice:
            raise StoryError(f"asked as {voice}, the experts were {lit}")
        table.add_row(
            voice, *(f"[bold]{share:.2f}[/bold]" if share > _LIT else f"{share:.2f}" for share in lit.values())
        )
    console.print("\nWhich expert answered:")
    console.print(table)
    console.print(f"\nToken by token: [bold]kubectl lora scalings {MIXTURE} {answer_id}[/bold]", soft_wrap=True)


def _ask(url: str, text: str) -> tuple[str, str]:
    body = {
        "model": MIXTURE,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 40,
        "temperature": 0,
    }
    answer = httpx.post(f"{url}/chat/completions", json=body, timeout=120)
    if answer.status_code != 200:
        raise StoryError(f"model={MIXTURE} answered {answer.status_code}: {answer.text}")
    told = answer.json()
    return str(told["id"]), str(told["choices"][0]["message"]["content"]).strip().replace("\n", " ")


def _scalings(url: str, answer_id: str) -> Generation:
    answer = httpx.get(f"{url}/xlora/scalings/{answer_id}", timeout=60)
    if answer.status_code != 200:
        raise StoryError(f"no scalings of {answer_id}: {answer.status_code}: {answer.text}")
    return generation_of(answer.json()["generations"][0])


def _lit(found: Generation) -> dict[str, float]:
    """From the token on that the answer's first was computed from."""
    tokens = range(found.prompt_tokens - 1, len(found.scalings))
    means = [found.mean(token) for token in tokens]
    return {name: sum(mean[place] for mean in means) / len(means) for place, name in enumerate(EXPERTS)}
