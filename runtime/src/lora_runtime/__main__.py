"""`python -m lora_runtime [vLLM's flags]`: vLLM's own OpenAI server, with the runtime in its process.

`lora-runtime serve …` is the same for a machine without a cluster; see `standalone.command`.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from lora_api.accelerators import PROFILES
from lora_api.v1alpha1.engine import AcceleratorType
from lora_api.wrong_values import what
from lora_runtime import starting, usage
from lora_runtime.adapters.base import load_base
from lora_runtime.adapters.errors import BaseModelUnavailable
from lora_runtime.config import Settings
from lora_runtime.engine.vllm import worker
from lora_runtime.mixture.vllm import worker as mixture_worker
from lora_runtime.standalone import command, folders, instead_of_a_pod
from lora_runtime.standalone.built_for import built_for_cpus
from lora_runtime.store.base_model import ensure_base

log = logging.getLogger("lora_runtime")

_ENVIRONMENT = {
    # Children must not inherit the runtime's threads and sockets.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    # vLLM names its own routes for loading adapters and for development by these; clients must never reach them.
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "0",
    "VLLM_SERVER_DEV_MODE": "0",
    # vLLM gets folders only; whatever it would look up on the hub is a mistake.
    "HF_HUB_OFFLINE": "1",
    # A response made in the background outlives its HTTP request, and so what keeps its adapter from being removed.
    "VLLM_ENABLE_RESPONSES_API_STORE": "0",
}
_KEEP_ALIVE = ("VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "120")
"""Seconds, unless somebody sets others: longer than proxies keep idle connections (the API server's 90). Of vLLM's 5 they know
nothing, and now and then sent a request into a connection that was just being closed."""
_FORGOTTEN = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
"""For servers with several API processes; with it vLLM shows what lies in files there, and not what we know."""
_UNLOGGED = ("/ready", "/health", "/metrics")
"""Asked every few seconds, for good: among these, what clients ask could not be found in the log."""
_MISTYPED = 2
"""As argparse ends with."""
_PLUGINS = ("lora_runtime", "lora_runtime_cpu_kernels")
_MIXTURE_PLUGINS = ("lora_runtime", "lora_runtime_mixture")


def main() -> None:
    """Runs until vLLM's server ends."""
    arguments = sys.argv[1:]
    _tell_usage(arguments)
    starting.end_at_once_when_told()
    typed = _typed(arguments[1:]) if arguments[:1] == [usage.SERVE] else None
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(asctime)s %(name)s %(message)s", stream=sys.stderr)
    # A library of vLLM's sets the root's level to ERROR while the server starts.
    log.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings, declared = (Settings(), None) if typed is None else instead_of_a_pod.prepare(typed, os.environ)
    except ValidationError as error:
        hint = "" if typed is not None else f"; {usage.HINT}"
        sys.exit(f"lora_runtime: the environment is wrong: {_in_one_line(error)}{hint}")
    except (folders.InUse, OSError) as error:
        sys.exit(f"lora_runtime: {error}")
    for name in _FORGOTTEN:
        os.environ.pop(name, None)
    # Here, not above: prometheus_client looks at the environment when it is imported.
    from lora_runtime import core, plugin

    running = core.start(settings, declared)
    plugin.join(running)
    try:
        folder = asyncio.run(_base_folder(settings, running.expect_base))
        log.info("base model folder=%s", folder)
        running.attach_base(folder, load_base(folder))
    except BaseModelUnavailable as error:
        sys.exit(f"lora_runtime: no base model: {error}")
    plugins, extension, flags = _PLUGINS, worker.CLASS, arguments if typed is None else list(typed.flags)
    if settings.mixture:
        log.info("waiting for a mixture")
        folder = running.service.first_mixture()
        plugins, extension = _MIXTURE_PLUGINS, mixture_worker.CLASS
        if settings.scalings_kept:
            flags = [*mixture_worker.FLAGS_TO_KEEP_SCALINGS, *flags]
    os.environ.setdefault(*_KEEP_ALIVE)
    os.environ.update(_ENVIRONMENT, VLLM_PLUGINS=_with_ours(os.environ.get("VLLM_PLUGINS", ""), plugins))
    try:
        serve_vllm(folder, settings.served_name, flags, extension)
    finally:
        running.end()
    if running.ended_by_itself.is_set():
        sys.exit(
            "lora_runtime: vLLM has ended by itself, as it does when its engine fails or is killed; if it said why, then above"
        )


def _tell_usage(arguments: list[str]) -> None:
    """Ends the process where that is all that was asked for, or nothing else can be done."""
    if (asked := usage.usage(arguments)) is not None:
        sys.stdout.write(asked)
        sys.exit()
    if (wrong := usage.mistake(arguments, os.environ)) is not None:
        sys.stderr.write(wrong)
        sys.exit(_MISTYPED)


def _typed(arguments: list[str]) -> command.Command:
    """What was typed behind `serve`; a CPU's engine gets the flags and the environment that pods give it."""
    profile = PROFILES[AcceleratorType.CPU] if built_for_cpus() else command.PLAIN
    for name, value in profile.env.items():
        os.environ.setdefault(name, value)
    return command.read(arguments, os.environ, profile)


async def _base_folder(settings: Settings, expect: Callable[[int], None]) -> Path:
    root = settings.credentials_root
    return await ensure_base(
        settings.model_source,
        volumes_root=settings.volumes_root,
        credentials_root=root,
        cache_root=settings.store,
        endpoint=settings.hf_endpoint,
        secrets=sorted(entry.name for entry in root.iterdir()) if root.is_dir() else [],
        limit_bytes=settings.state_limit_bytes,
        expect=expect,
    )


def serve_vllm(folder: Path, served_name: str, flags: list[str], extension: str) -> None:
    """Runs vLLM's server in this process until it ends.

    Args:
        folder: of the model.
        served_name: what clients call it.
        flags: further ones.
        extension: the class that is mixed into vLLM's workers.
    """
    from vllm.entrypoints.launchers.api_server import entry

    sys.argv = [
        "lora_runtime",
        "--model",
        str(folder),
        "--served-model-name",
        served_name,
        "--disable-fastapi-docs",
        "--worker-extension-cls",
        extension,
        f"--disable-access-log-for-endpoints={','.join(_UNLOGGED)}",
        *flags,
    ]
    starting.also_while_vllm_starts(entry)
    with starting.with_the_engines_words_last():
        entry.main()


def _with_ours(plugins: str, ours: Sequence[str] = _PLUGINS) -> str:
    """VLLM_PLUGINS lists all plugins that are let in: the platform's own, which the operator names, and ours."""
    return ",".join(dict.fromkeys([*filter(None, plugins.split(",")), *ours]))


def _in_one_line(error: ValidationError) -> str:
    return "; ".join(f"LORA_{'_'.join(map(str, e['loc'])).upper()}: {what(e)}" for e in error.errors())


if __name__ == "__main__":
    main()
