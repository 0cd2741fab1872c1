"""A real runtime process on loopback: vLLM with our plugin, the admin port without TLS."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import psutil

from lora_api.runtime_api import Desired, Inventory
from lora_api.v1alpha1.common import ModelSource, VolumeSource
from support import accelerator

START_SECONDS = 300.0
SMALL_FLAGS = (
    "--max-model-len=512", "--max-num-seqs=16", "--kv-cache-memory-bytes=134217728", "--disable-uvicorn-access-log",
)  # fmt: skip


@dataclass
class RuntimeProcess:
    """One started runtime; `stop` ends it and everything it started."""

    url: str
    admin_url: str
    process: subprocess.Popen[bytes]
    log: Path
    ready_path: str = "/ready"

    def wait_until_ready(self) -> None:
        """Polls until it is ready, and fails with the end of the log when the process ends first."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the runtime ended with {self.process.returncode}:\n{self.tail()}")
            try:
                if httpx.get(f"{self.url}{self.ready_path}", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"the runtime was not ready after {START_SECONDS} s:\n{self.tail()}")

    def tail(self, lines: int = 40) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def put(self, document: Desired) -> Inventory:
        """Sets the desired document."""
        answer = httpx.put(
            f"{self.admin_url}/v1/desired",
            content=document.canonical(),
            headers={"content-type": "application/json"},
            timeout=10,
        )
        answer.raise_for_status()
        return Inventory.model_validate_json(answer.content)

    def inventory(self, after: str | None = None, wait_seconds: float = 0) -> Inventory:
        """Reads the inventory."""
        query: dict[str, str | float] = {"wait": wait_seconds} | ({"after": after} if after is not None else {})
        answer = httpx.get(f"{self.admin_url}/v1/inventory", params=query, timeout=wait_seconds + 10)
        answer.raise_for_status()
        return Inventory.model_validate_json(answer.content)

    @contextlib.contextmanager
    def engine_held(self) -> Iterator[None]:
        """Stops the engine's processes meanwhile, but not the server: generations under way stay under way."""
        engine = psutil.Process(self.process.pid).children(recursive=True)
        for process in engine:
            process.suspend()
        try:
            yield
        finally:
            for process in engine:
                process.resume()

    def stop(self) -> int:
        """Ends it as the kubelet does; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


def start_runtime(
    folder: Path,
    *,
    volumes: Path,
    model: str = "base",
    max_rank: int = 32,
    max_resident: int = 4,
    max_cached: int = 8,
    desired: Desired | None = None,
    flags: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    mixture: bool = False,
) -> RuntimeProcess:
    """Starts a runtime.

    Args:
        folder: for its store, its document and its log.
        volumes: holds one folder per volume; the base model is `<volumes>/models/<model>`.
        model: folder of the base model, and its served name.
        max_rank: see LoRAModel.spec.adapters.
        max_resident: see LoRAModel.spec.adapters.
        max_cached: see LoRAModel.spec.adapters.
        desired: the document in the ConfigMap, if there is one.
        flags: further flags of vLLM.
        environment: further variables.
        mixture: whether its model is one, without adapters beside it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, admin_port = free_port(), free_port()
    document = folder / "desired.json.gz"
    if desired is not None:
        document.write_bytes(desired.packed())
    source = ModelSource(volume=VolumeSource(name="models", path=model))
    variables = {
        **os.environ,
        **accelerator.ENVIRONMENT,
        "LORA_MODEL_SOURCE": source.model_dump_json(by_alias=True, exclude_none=True),
        "LORA_SERVED_NAME": model,
        "LORA_MAX_RANK": str(max_rank),
        "LORA_STORE": str(folder / "store"),
        "LORA_DESIRED_FILE": str(document),
        "LORA_VOLUMES_ROOT": str(volumes),
        "LORA_CREDENTIALS_ROOT": str(folder / "credentials"),
        "LORA_TLS_DIR": "none",
        "LORA_ADMIN_HOST": "127.0.0.1",
        "LORA_ADMIN_PORT": str(admin_port),
        "LORA_MIXTURE": str(mixture).lower(),
        **(environment or {}),
    }
    engine = [f"--dtype={accelerator.DTYPE}"] if mixture else [
        f"--dtype={accelerator.DTYPE_WITH_ADAPTERS}", "--enable-lora", f"--max-loras={max_resident + 1}",
        f"--max-cpu-loras={max(2 * (max_resident + 1), max_cached)}", f"--max-lora-rank={max_rank}",
    ]  # fmt: skip
    arguments = [
        sys.executable, "-m", "lora_runtime", "--host=127.0.0.1", f"--port={port}", *engine, *accelerator.flags_beside(flags),
        *SMALL_FLAGS, *flags,
    ]  # fmt: skip
    log = folder / "runtime.log"
    with log.open("ab") as out:
        process = _start(arguments, variables, out)
    return RuntimeProcess(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}", process, log)


def start_without_a_cluster(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> RuntimeProcess:
    """Starts `lora-runtime serve` with these arguments, in `folder`; it has no admin port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    variables = {name: value for name, value in os.environ.items() if not name.startswith("LORA_")}
    # Of these, what the runtime needs it sets itself.
    variables |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1", **(environment or {})}
    program = Path(sys.executable).with_name("lora-runtime")
    log = folder / "runtime.log"
    command = [str(program), "serve", f"--port={port}", f"--state={folder / 'state'}", *arguments, *SMALL_FLAGS]
    with log.open("ab") as out:
        process = _start(command, variables, out, cwd=folder)
    return RuntimeProcess(f"http://127.0.0.1:{port}", "", process, log)


def _start(
    arguments: list[str], variables: Mapping[str, str], out: IO[bytes], cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(arguments, env=variables, stdout=out, stderr=out, start_new_session=True, cwd=cwd)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
