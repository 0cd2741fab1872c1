"""The way to the admin ports of pods of a local node."""

import subprocess

from lora_operator.domain import render
from support.pod_processes import of_pod


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
