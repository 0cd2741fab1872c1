"""The commands, joined to one program."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from lora_cli import output
from lora_cli.commands import changing, examining, explaining, looking, revising, showing, talking
from lora_cli.errors import INTERRUPTED, Failed
from lora_cli.negative_numbers import TakesNegativeNumbers

NAME = "kubectl lora"

app = typer.Typer(
    name=NAME,
    help="LoRA adapters of a cluster, with your own kubeconfig and rights: see, add, change, ask, roll back.",
    no_args_is_help=True,
    # Otherwise the brackets of a usage such as owner/repo[/folder] are taken for markup.
    rich_markup_mode="markdown",
    # A traceback with the values of all variables would show tokens.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.say([version("lora-operator")])
        raise typer.Exit


@app.callback()
def _every_command(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command("status")(looking.status)
app.command("describe")(looking.describe)
app.command("memory")(looking.memory)
app.command("add")(changing.add)
app.command("rm")(changing.remove)
app.command("clear")(changing.clear)
app.command("scale", cls=TakesNegativeNumbers)(changing.scale)
app.command("blend")(changing.blend)
app.command("chat")(talking.chat)
app.command("compare")(talking.compare)
app.command("scalings")(explaining.scalings)
app.command("ui")(showing.ui)
app.command("history")(revising.history)
app.command("rollback")(revising.rollback)
app.command("validate")(examining.validate)
app.command("doctor")(examining.doctor)


def run(arguments: list[str]) -> int:
    """One command line; returns the exit status."""
    try:
        # Completion asks the program under the name that was typed.
        app(arguments, prog_name=Path(sys.argv[0]).name)
    except Failed as failed:
        output.complain(failed)
        return failed.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def main() -> None:
    """The programs `kubectl-lora` and `lora`."""
    sys.exit(run(sys.argv[1:]))
