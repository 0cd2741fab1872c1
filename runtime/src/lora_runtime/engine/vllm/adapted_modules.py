"""Which modules adapters really act on, told by the workers: vLLM leaves out the others of an adapter silently.

That depends on the architecture, on --lora-target-modules, and on what vLLM cannot wrap (vllm-project/vllm#34186).
"""

from collections.abc import Collection, Sequence
from typing import Any

_TIMEOUT_SECONDS = 60.0
_TIMED_OUT = "timed out"
"""How the message of vLLM's TimeoutError ends, whose type is lost on its way out of the engine's process."""


async def ask(client: Any, names: Collection[str]) -> Collection[str]:
    """Those of `names` that some worker of an engine client applies adapters to.

    Raises:
        TimeoutError: they had no time to answer.
    """
    method = AdaptedModules.lora_runtime_adapted_modules.__name__
    try:
        answers = await client.collective_rpc(method, timeout=_TIMEOUT_SECONDS, args=(list(names),))
    except Exception as error:
        if _TIMED_OUT in str(error):
            raise TimeoutError(str(error)) from error
        raise
    # Each worker of a pipeline has layers of its own.
    return frozenset(name for answer in answers for name in answer)


class AdaptedModules:
    """The worker's side of `VllmEngine.adapted`."""

    def lora_runtime_adapted_modules(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that adapters act on in this worker."""
        return adapted_modules(self, names)


def adapted_modules(worker: Any, names: Sequence[str]) -> list[str]:
    """Runs in a worker: those of `names`, as adapters have them, that some LoRA layer here looks up."""
    from vllm.lora.utils import parse_fine_tuned_lora_name

    manager = worker.model_runner.lora_manager._adapter_manager
    looked_up = set(manager.modules) - set(manager.packed_modules)
    for wrapped in manager.modules:
        looked_up.update(manager.packed_modules.get(wrapped, ()))
    mapper = getattr(manager.model, "hf_to_vllm_mapper", None)
    renames = None if mapper is None else mapper.get_rename_mapper()
    skipped = tuple(getattr(manager.model, "lora_skip_prefixes", None) or ())
    return [
        name
        for name in names
        if not any(name.startswith(prefix) or f".{prefix}" in name for prefix in skipped)
        and parse_fine_tuned_lora_name(f"base_model.model.{name}.lora_A.weight", renames)[0] in looked_up
    ]
