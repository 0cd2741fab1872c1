"""What vLLM mixes into its worker class (`--worker-extension-cls`), to be asked by collective_rpc between two steps."""

from lora_runtime.engine.vllm.adapted_modules import AdaptedModules
from lora_runtime.engine.vllm.worker_memory import LoRAMemory

CLASS = f"{__name__}.WorkerExtension"
"""What the flag takes."""


class WorkerExtension(AdaptedModules, LoRAMemory):
    """All that workers answer. Its names must differ from those of vLLM's own workers."""
