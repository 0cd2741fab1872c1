"""The processes in pods of a local node, as this machine sees them; and the way to their admin ports."""

import contextlib
import subprocess
from collections.abc import Iterator

import psutil

from lora_operator.domain import render


def of_pod(pod: str, words: str = "") -> list[psutil.Process]:
    """A pod's processes whose command line has these words in it."""
    return [process for process in _all(words) if _hostname(process) == pod]


def kill(processes: list[psutil.Process]) -> None:
    """SIGKILL to each that is still there."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


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


def block(pod: str, *, told: bool) -> None:
    """Ends the way to the admin port, inside the pod's own network: with a refusal, or without a word."""
    _filter(pod, "--insert", *(("REJECT", "--reject-with", "tcp-reset") if told else ("DROP",)))


def unblock(pod: str) -> None:
    """Opens it again."""
    for target in (("REJECT", "--reject-with", "tcp-reset"), ("DROP",)):
        while _filter(pod, "--delete", *target):
            pass


def _filter(pod: str, change: str, *target: str) -> bool:
    found = of_pod(pod)
    if not found:
        return False
    rule = ("INPUT", "--protocol", "tcp", "--dport", str(render.ADMIN_PORT), "--jump", *target)
    enter = ("nsenter", f"--target={found[0].pid}", "--net", "iptables", "--wait")
    return subprocess.run([*enter, change, *rule], capture_output=True, check=False).returncode == 0


def _all(words: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["cmdline"]):
        if words in " ".join(process.info["cmdline"] or ()):
            yield process


def _hostname(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("HOSTNAME", ""))
    except psutil.Error:
        return ""
