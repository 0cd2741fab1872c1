"""What a worker of vLLM can be told about its mixture: for `--worker-extension-cls`."""

from pathlib import Path
from typing import Any

from lora_runtime.mixture.package import read

CLASS = "lora_runtime.mixture.vllm.worker.MixtureWorker"


class MixtureWorker:
    """Mixed into vLLM's worker."""

    model_runner: Any

    def exchange_mixture(self, folder: str) -> None:
        """Serves the mixture in a folder of `package.write` from the next step on, if it is of the same shapes.

        What the KV caches hold was computed with the experts before: no request may be under way, and the prefix cache must
        be reset, before the next one comes.
        """
        self.model_runner.get_model().model.exchange(read(Path(folder)))
