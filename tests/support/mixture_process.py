"""vLLM's own server with a mixture, and with no other plugin of ours than the one that registers it."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lora_runtime.mixture.vllm import worker
from support import accelerator, mixtures, models
from support.runtime_process import RuntimeProcess, free_port

PLUGIN = "lora_runtime_mixture"
_FLAGS = (
    "--dtype=float32", "--block-size=32", "--api-server-count=1", "--disable-uvicorn-access-log", "--max-model-len=512",
    "--kv-cache-memory-bytes=134217728", f"--worker-extension-cls={worker.CLASS}",
)  # fmt: skip
_ENVIRONMENT = {
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "HF_HUB_OFFLINE": "1",
    # for resetting the prefix cache, and calls to the worker
    "VLLM_SERVER_DEV_MODE": "1",
    "VLLM_PLUGINS": PLUGIN,
}


@dataclass(frozen=True, slots=True)
class Completion:
    """What a client got."""

    tokens: tuple[int, ...]
    logprobs: tuple[Mapping[int, float], ...]
    """By token, of the chosen one and of the likeliest, at each step."""


@dataclass
class ServedMixture(RuntimeProcess):
    """The server, as its clients see it."""

    def complete(self, prompt: Sequence[int], n: int, *, logprobs: int | None = 5) -> Completion:
        """One greedy completion of exactly `n` tokens, with the log-probabilities of the likeliest."""
        [found] = self.complete_all([prompt], n, logprobs=logprobs)
        return found

    def complete_all(self, prompts: Sequence[Sequence[int]], n: int, *, logprobs: int | None = 5) -> list[Completion]:
        """The same of several prompts that come to the engine at once."""
        body = {
            "model": "mixture", "prompt": [list(prompt) for prompt in prompts], "max_tokens": n, "temperature": 0,
            "ignore_eos": True, "return_token_ids": True, "logprobs": logprobs, "return_tokens_as_token_ids": True,
        }  # fmt: skip
        answer = httpx.post(f"{self.url}/v1/completions", json=body, timeout=120).raise_for_status()
        return [read_completion(choice) for choice in answer.json()["choices"]]

    def metric(self, name: str) -> float:
        """The sum of a counter's series."""
        lines = httpx.get(f"{self.url}/metrics", timeout=10).raise_for_status().text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{"))

    def exchange(self, folder: Path) -> httpx.Response:
        """Puts another mixture in the place of this one; whoever does it has to reset the prefix cache."""
        body = {"method": "exchange_mixture", "args": [str(folder)]}
        return httpx.post(f"{self.url}/collective_rpc", json=body, timeout=30)

    def reset_prefix_cache(self) -> None:
        """What was computed before is computed anew."""
        httpx.post(f"{self.url}/reset_prefix_cache", timeout=10).raise_for_status()


def read_completion(choice: Mapping[str, Any]) -> Completion:
    """One choice of an answer that lists tokens by their ids."""
    steps = choice["logprobs"]["top_logprobs"] if choice["logprobs"] else ()
    return Completion(
        tuple(choice["token_ids"]),
        tuple({int(token.removeprefix("token_id:")): value for token, value in step.items()} for step in steps),
    )


def farthest(found: Completion, expected: mixtures.Answer | models.Answer) -> float:
    """The largest difference of a log-probability, up to the first token that differs."""
    largest = 0.0
    for step, (ours, theirs) in enumerate(zip(found.logprobs, expected.logprobs, strict=True)):
        largest = max(largest, *(abs(value - float(theirs[token])) for token, value in ours.items()))
        if found.tokens[step] != expected.tokens[step]:
            break
    return largest


def start_mixture(
    folder: Path, model: Path, *, flags: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> ServedMixture:
    """Starts it, under the name `mixture`.

    Args:
        folder: for its log.
        model: the folder of a mixture, or of a plain base model.
        flags: further flags of vLLM.
        environment: further variables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    arguments = [
        sys.executable, "-m", "vllm.entrypoints.launchers.api_server.entry", f"--model={model}", "--served-model-name=mixture",
        "--host=127.0.0.1", f"--port={port}", *_FLAGS, *accelerator.SHARED, *flags,
    ]  # fmt: skip
    variables = {**os.environ, **accelerator.ENVIRONMENT, **_ENVIRONMENT, **(environment or {})}
    log = folder / "vllm.log"
    with log.open("ab") as out:
        process = subprocess.Popen(arguments, env=variables, stdout=out, stderr=out, start_new_session=True)
    return ServedMixture(f"http://127.0.0.1:{port}", "", process, log, ready_path="/health")
