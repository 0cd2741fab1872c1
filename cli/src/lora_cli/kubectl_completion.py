"""`kubectl_complete-lora`: what kubectl runs to complete `kubectl lora …`, in the form that it expects."""

import contextlib
import io
import os
import shlex
import sys

from lora_cli.app import app

_NO_FILES = ":4"
"""Cobra's directive: offer these words and no names of files."""


def main() -> None:
    """The program; its arguments are the words after `kubectl lora`, the last of which is being typed."""
    words = sys.argv[1:] or [""]
    # What Typer's own script for bash sets.
    os.environ |= {
        "_LORA_COMPLETE": "complete_bash",
        "COMP_WORDS": shlex.join(["lora", *words]),
        "COMP_CWORD": str(len(words)),
    }
    offered = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(offered):
        app([], prog_name="lora")
    sys.stdout.write("\n".join([*offered.getvalue().split(), _NO_FILES]) + "\n")


if __name__ == "__main__":
    main()
