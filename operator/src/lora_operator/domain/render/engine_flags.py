"""The command line of vLLM for one LoRAModel."""

import re

from lora_api.accelerators import PROFILES
from lora_api.adapter_flags import adapter_flags
from lora_api.v1alpha1.engine import EngineDtype
from lora_api.v1alpha1.model import LoRAModelSpec

SERVING_PORT = 8000
"""Of the OpenAI-compatible API, on the Service and on the pods."""

_DRAIN_SECONDS = 100
"""How long a pod that is to end goes on with the requests that it has; vLLM would cut them at once."""
_DRAIN_FLAG = re.compile(r"(?<!\S)--shutdown[-_]timeout[=\s](\d{1,9})(?!\S)")


def engine_flags(spec: LoRAModelSpec) -> list[str]:
    """Flags for vLLM's server, all but `--model` and `--served-model-name`, which the runtime adds.

    The user's own come last, so that they win.
    """
    profile = PROFILES[spec.accelerator.type]
    dtype = profile.auto_dtype if spec.engine.dtype is EngineDtype.AUTO else spec.engine.dtype.value.lower()
    flags = [
        "--host=0.0.0.0",
        f"--port={SERVING_PORT}",
        f"--dtype={dtype}",
        f"--tensor-parallel-size={spec.engine.tensor_parallel_size}",
        "--api-server-count=1",
        f"--shutdown-timeout={_DRAIN_SECONDS}",
        *(adapter_flags(spec.adapters) if spec.mixture is None else ()),
    ]
    if spec.engine.max_model_len is not None:
        flags.append(f"--max-model-len={spec.engine.max_model_len}")
    workers, typed = spec.engine.tensor_parallel_size, spec.engine.extra_args
    return [*flags, *profile.flags_for(workers, typed), *typed]


def drain_seconds(spec: LoRAModelSpec) -> int:
    """How long a pod that is to end goes on with the requests that it has."""
    return int(_DRAIN_FLAG.findall(" ".join(engine_flags(spec)))[-1])
