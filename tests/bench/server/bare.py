"""vLLM's own server with static adapters: what the runtime is compared with."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from support import accelerator
from support.runtime_process import SMALL_FLAGS, RuntimeProcess, free_port

_ENVIRONMENT = {
    # as the runtime starts vLLM
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "HF_HUB_OFFLINE": "1",
}


def start_bare(
    folder: Path,
    *,
    base: Path,
    served_name: str,
    adapters: Mapping[str, Path],
    max_rank: int,
    max_resident: int,
    max_cached: int,
    plugins: tuple[str, ...],
    flags: tuple[str, ...] = (),
) -> RuntimeProcess:
    """Starts vLLM's OpenAI server with the flags and the environment of `start_runtime`, but without our plugin.

    Args:
        folder: for its log.
        base: folder of the base model.
        served_name: of the base model.
        adapters: folder by served name.
        max_rank: as for the runtime.
        max_resident: as for the runtime.
        max_cached: as for the runtime.
        plugins: vLLM plugins that are let in.
        flags: further flags of vLLM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    slots = max_resident + 1
    arguments = [
        sys.executable, "-m", "vllm.entrypoints.launchers.api_server.entry", f"--model={base}", f"--served-model-name={served_name}",
        "--host=127.0.0.1", f"--port={port}", "--disable-fastapi-docs", "--api-server-count=1", "--enable-lora",
        f"--max-loras={slots}", f"--max-cpu-loras={max(2 * slots, max_cached)}", f"--max-lora-rank={max_rank}",
        f"--dtype={accelerator.DTYPE_WITH_ADAPTERS}", *accelerator.flags_beside(flags), *SMALL_FLAGS, *flags,
        "--lora-modules", *(f"{name}={place}" for name, place in sorted(adapters.items())),
    ]  # fmt: skip
    variables = {**os.environ, **accelerator.ENVIRONMENT, **_ENVIRONMENT, "VLLM_PLUGINS": ",".join(plugins)}
    log = folder / "vllm.log"
    with log.open("ab") as out:
        process = subprocess.Popen(arguments, env=variables, stdout=out, stderr=out, start_new_session=True)
    return RuntimeProcess(f"http://127.0.0.1:{port}", "", process, log, ready_path="/health")
