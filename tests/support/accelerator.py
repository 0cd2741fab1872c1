"""Where the engines of tests run: on what the vLLM that is installed here was built for."""

from collections.abc import Mapping, Sequence

from lora_api.accelerators import PROFILES
from lora_api.v1alpha1.engine import AcceleratorType
from lora_runtime.standalone.built_for import built_for_cpus

CPUS = built_for_cpus()
_PROFILE = PROFILES[AcceleratorType.CPU if CPUS else AcceleratorType.NVIDIA]
_ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1", **_PROFILE.env}

SHARED: tuple[str, ...] = () if CPUS else ("--gpu-memory-utilization=0.2",)
"""Flags that leave room for other engines."""
DTYPE = "float32"
"""Of an engine whose answers are held against references in float32."""
DTYPE_WITH_ADAPTERS = DTYPE if CPUS else "float16"
"""Of vLLM's kernels for adapters, those for GPUs take no float32."""
ENVIRONMENT: Mapping[str, str] = _ENVIRONMENT if CPUS else {**_ENVIRONMENT, "TRITON_F32_DEFAULT": "ieee"}
"""Triton's own default for float32 are products in TF32, with ten bits of mantissa."""


def flags_beside(typed: Sequence[str]) -> tuple[str, ...]:
    """As pods have them before these."""
    return (*_PROFILE.flags_for(workers=1, typed=typed), *SHARED)
