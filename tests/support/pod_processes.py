"""The processes in pods of a local node, as this machine sees them."""

import contextlib
from pathlib import Path

import psutil


def of_pod(pod: str, words: str = "") -> list[psutil.Process]:
    """A pod's processes whose command line has these words in it."""
    found = (p for p in psutil.process_iter(["cmdline"]) if words in " ".join(p.info["cmdline"] or ()))
    return [process for process in found if _hostname(process) == pod]


def kill(processes: list[psutil.Process]) -> int:
    """SIGKILL to each that is still there; how many were."""
    hit = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
            hit += 1
    return hit


def suspend(processes: list[psutil.Process]) -> None:
    """They stand still."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.suspend()


def resume(processes: list[psutil.Process]) -> None:
    """They go on."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.resume()


def _hostname(process: psutil.Process) -> str:
    """The name of the pod that a process runs in: its root is the container's.

    Not from its environment, over which vLLM's engine writes its title.
    """
    try:
        return Path("/proc", str(process.pid), "root", "etc", "hostname").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
