"""What a worker of vLLM can be told about its mixture: for `--worker-extension-cls`."""

import base64
from pathlib import Path
from typing import Any

from lora_runtime.mixture.package import read
from lora_runtime.mixture.vllm.kept_scalings import KeptScalings

CLASS = "lora_runtime.mixture.vllm.worker.MixtureWorker"
FLAGS_TO_KEEP_SCALINGS = ("--compilation-config.cudagraph_mode=PIECEWISE",)
"""For vLLM: scalings are written between the graphs of a step, and not in them."""


class MixtureWorker:
    """Mixed into vLLM's worker."""

    model_runner: Any
    vllm_config: Any
    rank: int
    lora_runtime_kept: KeptScalings | None = None

    def exchange_mixture(self, folder: str) -> None:
        """Serves the mixture in a folder of `package.write` from the next step on, if it is of the same shapes.

        What the KV caches hold was computed with the experts before: no request may be under way, and the prefix cache must
        be reset, before the next one comes.
        """
        self.model_runner.get_model().model.exchange(read(Path(folder)))

    def keep_scalings(self, requests: int) -> None:
        """Keeps those of so many requests from now on; the model must have been built to tell them.

        Raises:
            RuntimeError: Whole steps are replayed as CUDA graphs, to which they are not written.
        """
        if self.rank != 0:
            return  # all workers have the same
        if (mode := self.vllm_config.compilation_config.cudagraph_mode).has_full_cudagraphs():
            raise RuntimeError(
                f"scalings cannot be kept with CUDA graphs of whole steps ({mode.name}): leave out what says so in "
                "spec.engine.extraArgs, or set spec.mixture.scalingsKept to 0"
            )
        model, caches = self.model_runner.get_model(), self.model_runner.kv_cache_config
        spec = caches.kv_cache_groups[0].kv_cache_spec
        classifier = model.model.classifier
        model.recorder.allocate(caches.num_blocks * spec.block_size, classifier.width, self.model_runner.device)
        window = getattr(spec, "sliding_window", None)
        self.lora_runtime_kept = KeptScalings(self.model_runner, model.recorder.rows, spec.block_size, requests, window)

    def scalings_of(self, request_id: str) -> tuple[int, str] | None:
        """Tokens, and float16 in base64, `[tokens, layers * experts]`; None of a request that is not known any more."""
        found = None if self.lora_runtime_kept is None else self.lora_runtime_kept.of(request_id)
        return None if found is None else (len(found), base64.b64encode(found.numpy().tobytes()).decode())
