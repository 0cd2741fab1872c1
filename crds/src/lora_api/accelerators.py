"""What differs between accelerators: the device to ask for, vLLM's flags, environment and plugins."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lora_api.v1alpha1.model import AcceleratorType


@dataclass(frozen=True, slots=True)
class Profile:
    """How a pod runs on one kind of accelerator."""

    device: str | None
    """Extended resource of the vendor's device plugin; None asks for no device."""
    auto_dtype: str
    """What `dtype: Auto` means."""
    flags: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    """vLLM plugins of the platform, which vLLM lets in only if they are named; the runtime adds its own."""


PROFILES: Mapping[AcceleratorType, Profile] = {
    AcceleratorType.CPU: Profile(
        device=None,
        # bfloat16 dies with an illegal instruction on machines whose AMX is not what it claims to be.
        auto_dtype="float32",
        flags=(
            "--enforce-eager",
            "--block-size=32",
            "--max-num-batched-tokens=512",
            # Not VLLM_CPU_KVCACHE_SPACE, which would win over this flag among the user's own.
            f"--kv-cache-memory-bytes={1 << 30}",
        ),
        env={
            # vLLM would bind its threads to cores as if the node were its own; two pods would share the same ones.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            # Sampling with logprobs would compile C++ at run time, and the image has no compiler.
            "TORCHDYNAMO_DISABLE": "1",
        },
    ),
    AcceleratorType.NVIDIA: Profile(device="nvidia.com/gpu", auto_dtype="auto"),
    AcceleratorType.AMD: Profile(device="amd.com/gpu", auto_dtype="auto"),
    AcceleratorType.GAUDI: Profile(
        device="habana.ai/gaudi",
        auto_dtype="bfloat16",
        env={"HABANA_VISIBLE_DEVICES": "all"},
        plugins=("hpu", "hpu_custom_ops"),
    ),
    AcceleratorType.QAIC: Profile(device="qualcomm.com/qaic", auto_dtype="auto"),
    AcceleratorType.TPU: Profile(device="google.com/tpu", auto_dtype="bfloat16"),
}
