"""The hardware of a pod, and how vLLM is started on it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from lora_api.v1alpha1 import common

OWNED_FLAGS = (
    "--enable-lora", "--max-loras", "--max-cpu-loras", "--max-lora-rank", "--lora-modules", "--lora-dtype",
    "--api-server-count", "--model", "--served-model-name", "--host", "--port", "--uds", "--dtype", "--max-model-len",
    "--tensor-parallel-size", "-tp", "--no-enable-lora", "--middleware", "--root-path", "--worker-extension-cls", "--config",
    "--api-key", "--grpc", "--grpc-port",
)  # fmt: skip
"""vLLM flags that the operator sets from other fields, or that would undo what it promises."""

FLAGS_AGAINST_A_MIXTURE = (
    "--pipeline-parallel-size", "-pp", "--speculative-config", "-sc", "--spec-method", "--spec-model", "--spec-tokens",
    "--quantization", "-q", "--quantization-config", "--kv-transfer-config",
)  # fmt: skip
"""vLLM flags for what an X-LoRA's engine refuses at its start."""


def forms_of(flags: Iterable[str]) -> str:
    """A pattern for the flags and all their abbreviations."""
    return "|".join(map(_abbreviations, flags))


def _abbreviations(flag: str) -> str:
    """A pattern for the flag and all its beginnings: vLLM takes `--served-m` for `--served-model-name`."""
    dashes = len(flag) - len(flag.lstrip("-"))
    optional = "".join(f"({letter}" for letter in flag[dashes + 1 :]) + ")?" * (len(flag) - dashes - 1)
    return flag[: dashes + 1] + optional


class AcceleratorType(StrEnum):
    """The hardware a pod asks for: picks image, device resource and engine flags."""

    CPU = "CPU"
    NVIDIA = "NVIDIA"
    AMD = "AMD"
    GAUDI = "Gaudi"
    QAIC = "QAIC"
    TPU = "TPU"


class Accelerator(common.ApiModel):
    """The hardware each pod asks for."""

    type: AcceleratorType = Field(
        default=AcceleratorType.CPU,
        description="Kind of device. It picks the image, the resource that is asked for, and engine flags.",
    )
    count: int = Field(default=1, ge=1, le=64, description="How many devices each pod asks for; ignored for CPU.")


class EngineDtype(StrEnum):
    """Element type of the base model's weights and activations."""

    AUTO = "Auto"
    FLOAT32 = "Float32"
    BFLOAT16 = "BFloat16"
    FLOAT16 = "Float16"


ExtraArg = Annotated[str, Field(min_length=1, max_length=1024)]


class Engine(common.ApiModel):
    """How vLLM is started. A change restarts the pods, one by one."""

    dtype: EngineDtype = Field(
        default=EngineDtype.AUTO,
        description=(
            "Element type of weights and activations. Auto: Float32 on CPU, vLLM's choice elsewhere. With adapters on NVIDIA and "
            "AMD, not Float32."
        ),
    )
    max_model_len: int | None = Field(
        default=None,
        ge=1,
        le=10_485_760,
        description="Longest prompt plus answer, in tokens; the model's own limit when unset.",
    )
    tensor_parallel_size: int = Field(default=1, ge=1, le=64, description="Devices that share one copy of the model.")
    extra_args: tuple[ExtraArg, ...] = Field(
        default=(),
        max_length=64,
        description="Further flags for vLLM, each `--flag=value` or `--flag`.",
        json_schema_extra=common.cel(
            (
                f"!self.exists(arg, arg.replace('_', '-').matches('^({forms_of(OWNED_FLAGS)})([=.].*)?$'))",
                "must not set flags that the operator owns (LoRA limits, model, names, ports, keys, dtype, lengths, "
                "parallelism), abbreviated or not: use the fields of spec",
            ),
            ("self.all(arg, arg.startsWith('-'))", "must be flags, each as --flag=value or --flag"),
        ),
    )
