"""The flags of vLLM that make room for adapters. Pure."""

from lora_api.v1alpha1.model import AdapterLimits

_RANK_STEPS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Values that vLLM takes for --max-lora-rank."""


def adapter_flags(limits: AdapterLimits) -> list[str]:
    """Room for so many adapters of such ranks."""
    # One slot more than the user asked for: a new revision is loaded beside the one that it will replace.
    slots = limits.max_resident + 1
    return [
        "--enable-lora",
        f"--max-loras={slots}",
        f"--max-cpu-loras={max(2 * slots, limits.max_cached)}",
        f"--max-lora-rank={next(step for step in _RANK_STEPS if step >= limits.max_rank)}",
    ]
