"""What is told to whoever types `lora-runtime` and neither of its two forms. Pure."""

import difflib
from collections.abc import Mapping, Sequence

SERVE = "serve"
HINT = "without a cluster, type lora-runtime serve --model PLACE"
_USAGE = """\
usage: lora-runtime serve --model PLACE [--adapter [NAME=]PLACE[@WEIGHT]]... [flags of vLLM]
           without a cluster, on this machine; `lora-runtime serve --help` lists its options
       lora-runtime [flags of vLLM]
           in a pod, as the operator starts it; variables that begin with LORA_ say what is served
"""
_OF_A_POD = "LORA_MODEL_SOURCE"


def usage(arguments: Sequence[str]) -> str | None:
    """The usage, for whoever asks for it; None for others."""
    return _USAGE if arguments[:1] in (["-h"], ["--help"]) else None


def mistake(arguments: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """What is wrong with what was typed, and what to type; None if it is one of both forms."""
    if not arguments:
        return None if _OF_A_POD in environment else _USAGE
    word = arguments[0]
    if word.startswith("-") or word == SERVE:
        return None
    meant = difflib.get_close_matches(word, [SERVE])
    hint = f"did you mean {SERVE}?" if meant else f"the only one is {SERVE}"
    return f"lora-runtime: there is no command {word!r}; {hint}\n{_USAGE}"
