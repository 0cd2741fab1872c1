"""Engines, pods and the operator die; what was declared is served."""

import time

from e2e.conftest import MODEL, READY_SECONDS, World, an_adapter
from e2e.straight import asking
from e2e.test_live_change import serves
from lora_demo.place import OPERATOR_NAMESPACE

DEPLOYMENT = "deployment/lora-operator"
ENOUGH = 20
"""Answers of a pod that is ready."""


def test_a_killed_engine_comes_back_with_its_set_before_the_pod_is_ready(clean: World) -> None:
    clean.apply(an_adapter("a", "a", weight=0.4))
    clean.ready("a")
    clean.patch("a", {"source": {"volume": {"name": "adapters", "path": "b"}}})
    clean.ready("a")
    victim = sorted(clean.pod_ips())[0]
    before = clean.restarts()[victim]
    clean.kubectl("exec", victim, "--", "python3", "-c", KILL_ENGINE)
    clean.until("the container to restart", lambda: clean.restarts()[victim] > before, READY_SECONDS)
    clean.until("the status to tell", lambda: clean.condition("a", "Ready")["status"] == "False")
    assert clean.get("loraadapter", "a")["status"]["summary"]["loaded"] == "1/2"
    assert clean.condition("a", "Available")["status"] == "True"
    starts_again = f"pod {victim} starts again: container runtime ended with exit code "
    clean.until("the model to tell", lambda: starts_again in clean.condition(MODEL, "Ready", of="loramodel")["message"])
    answers = []
    deadline = time.monotonic() + READY_SECONDS
    with asking(clean.pod_ips()[victim], "a") as looks:
        while not clean.all_pods_ready():
            assert time.monotonic() < deadline, clean.describe()
            # Until the Service's rules have followed, they lead to a container that is gone: a client connects once more.
            answers.append(clean.complete("a", connects=6).status_code)
            time.sleep(0.5)
        clean.until("the pod to be asked when it is ready", lambda: sum(look.ready for look in looks) >= ENOUGH)
    assert set(answers) <= {200}, "the Service must only lead to pods that have the adapter"
    assert {look.status for look in looks if look.ready} == {200}, "a pod that may be ready must have the adapter"
    serves(clean, "a", ("b", 0.4))
    clean.ready("a")


def test_without_the_operator_pods_serve_on_and_a_new_pod_comes_with_its_adapters(clean: World) -> None:
    clean.apply(an_adapter("a", "a"))
    clean.ready("a")
    clean.cluster.kubectl("-n", OPERATOR_NAMESPACE, "scale", DEPLOYMENT, "--replicas=0")
    try:
        clean.until(
            "the operator to be gone",
            lambda: clean.cluster.kubectl("-n", OPERATOR_NAMESPACE, "get", "pods", "-o", "name").strip() == "",
        )
        victim = sorted(clean.pod_ips())[0]
        clean.kubectl("delete", "pod", victim, "--wait=false")
        clean.until("another pod", lambda: victim not in clean.pod_ips() and clean.all_pods_ready(), READY_SECONDS)
        serves(clean, "a", ("a", 1.0))
    finally:
        clean.cluster.kubectl("-n", OPERATOR_NAMESPACE, "scale", DEPLOYMENT, "--replicas=1")
    clean.patch("a", {"weight": 0.4})
    clean.ready("a")
    serves(clean, "a", ("a", 0.4))


KILL_ENGINE = """
import os, signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    name = open(f"/proc/{pid}/comm").read()
    if name.startswith("VLLM::"):
        os.kill(int(pid), signal.SIGKILL)
        break
else:
    raise SystemExit("no engine process found")
"""
