"""Flags and variables of vLLM that are not for whoever types `lora-runtime serve`. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence

from lora_api.v1alpha1.engine import OWNED_FLAGS

_OF_THE_ENGINE = frozenset({"--dtype", "--max-model-len", "--tensor-parallel-size", "-tp"})
"""In a cluster, fields of a LoRAModel say these; here nothing else does."""
_ROOM = "it makes room for adapters by"
_INSTEAD: Mapping[str, str] = {
    "--api-key": "name the file that holds the keys by --api-keys-file FILE: vLLM's own would guard /v1 alone",
    "--enable-lora": "adapters are always served",
    "--no-enable-lora": "adapters are always served",
    "--max-loras": f"{_ROOM} --max-resident",
    "--max-cpu-loras": f"{_ROOM} --max-cached",
    "--max-lora-rank": f"{_ROOM} --max-rank",
    "--lora-modules": "declare adapters by --adapter or --desired",
    "--lora-dtype": "say `precision` in an adapter's object, in the file of --desired",
    "--uds": "it listens where --host and --port say",
    "--grpc": "it speaks HTTP alone, where --host and --port say",
    "--grpc-port": "it speaks HTTP alone, where --host and --port say",
    "--api-server-count": "adapters are those of one process",
    "--config": "type its flags",
    "--root-path": "have the proxy in front take the prefix off",
    "--middleware": "it would see requests before keys are asked for",
    "--worker-extension-cls": "adapters are measured by one of its own",
}
_API_KEY = "VLLM_API_KEY"


def problems(rest: Sequence[str], own: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    """What vLLM would be told behind our back, and what to type instead.

    Args:
        rest: what was typed beside the options of `serve`.
        own: these options.
        environment: of the process.
    """
    for typed in rest:
        flag = re.split("[=.]", typed, maxsplit=1)[0].replace("_", "-")
        if not flag.startswith("-") or not flag.strip("-"):
            continue
        # vLLM takes `--served-m` for `--served-model-name`.
        meant = [name for name in (*own, *OWNED_FLAGS) if name.startswith(flag) and name not in _OF_THE_ENGINE]
        if flag in meant:
            yield f"{typed} is not for vLLM here: {_INSTEAD.get(flag, f'write {flag} as it is listed')}"
        elif meant and flag not in _OF_THE_ENGINE:
            yield f"{typed} could be {' or '.join(dict.fromkeys(meant))}: write flags in full"
    if environment.get(_API_KEY):
        yield f"the variable {_API_KEY} is set: unset it, and {_INSTEAD['--api-key']}"
