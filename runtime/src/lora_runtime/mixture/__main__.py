"""`python -m lora_runtime.mixture`: makes the folder that vLLM serves an X-LoRA from.

A trained one, as PEFT saved it:       python -m lora_runtime.mixture BASE OUT --checkpoint FOLDER
Adapters, whose classifier is untrained: python -m lora_runtime.mixture BASE OUT --expert NAME=FOLDER --expert …
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_runtime.adapters.base import load_base
from lora_runtime.adapters.errors import BaseModelUnavailable, Refused
from lora_runtime.mixture import assembly, package
from lora_runtime.mixture.checkpoint import options_of
from lora_runtime.mixture.options import Options


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes OUT, or says why it cannot."""
    typed = _parser().parse_args(arguments)
    if typed.out.exists():
        sys.exit(f"{typed.out} is there already; name a folder that is not")
    try:
        assembly.check_base(typed.base)
        base = load_base(typed.base)
        if typed.checkpoint is not None:
            mixture = assembly.from_checkpoint(typed.checkpoint, base, typed.options)
        else:
            hidden = base.modules[assembly.EMBEDDING].out_features
            options = options_of({"hidden_size": hidden, **typed.options})
            mixture = assembly.from_adapters(_by_name(typed.expert), options, base, seed=typed.seed)
    except (Refused, BaseModelUnavailable, OSError, ValueError) as error:
        sys.exit(str(error))
    typed.out.mkdir(parents=True)
    package.write(mixture, typed.base, typed.out)
    said = "" if mixture.trained else "; its classifier is untrained: its scalings mean nothing yet"
    print(f"{typed.out}: {len(mixture.experts)} experts on {len(mixture.layers)} modules{said}")  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lora_runtime.mixture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", type=Path, metavar="BASE", help="folder of the base model")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder to write; the base model's files are linked from it"
    )
    of_what = parser.add_mutually_exclusive_group(required=True)
    of_what.add_argument("--checkpoint", type=Path, help="folder of an X-LoRA, with its experts in 0, 1, …")
    of_what.add_argument("--expert", type=_expert, action="append", metavar="NAME=FOLDER", help="in order")
    parser.add_argument(
        "--options", type=_options, default={}, help="of PEFT's XLoraConfig, as JSON; they replace a checkpoint's own"
    )
    parser.add_argument("--seed", type=int, default=0, help="with --expert: of the untrained classifier")
    return parser


def _expert(text: str) -> tuple[str, Path]:
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise argparse.ArgumentTypeError("must be NAME=FOLDER")
    return name, Path(folder)


def _options(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    if unknown := sorted(found.keys() - Options.model_fields.keys()):
        raise argparse.ArgumentTypeError(
            f"there is no option {', '.join(unknown)}, but {', '.join(Options.model_fields)}"
        )
    return found


def _by_name(experts: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    found = dict(experts)
    if len(found) != len(experts):
        raise ValueError("two experts have the same name")
    return found


if __name__ == "__main__":
    main()
