"""What differs between accelerators: the device to ask for, vLLM's flags, environment and plugins."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lora_api.v1alpha1.engine import AcceleratorType

_SEVERAL_WORKERS = re.compile("-tp|-pp|-dp|-pcp|-dcp|--(tensor|pipeline|data|prefill|decode|nnodes)")


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
    one_worker_flags: tuple[str, ...] = ()
    """For an engine that has one worker."""

    def flags_for(self, workers: int, typed: Iterable[str]) -> tuple[str, ...]:
        """The flags of an engine with so many workers, as far as is known before a person's own flags."""
        one = workers == 1 and not any(_SEVERAL_WORKERS.match(flag) for flag in typed)
        return (*self.flags, *(self.one_worker_flags if one else ()))


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
        # vLLM would give the worker a process of its own, to bind its threads to cores, which is off below. It
        # waits there for the engine by spinning, for a second after every message. The class by its name, because vLLM makes
        # `mp` of `uni`.
        one_worker_flags=("--distributed-executor-backend=vllm.v1.executor.uniproc_executor.UniProcExecutor",),
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
