"""The chart's own test, and what the pods are allowed to do."""

from e2e.conftest import MODEL, NAMESPACE, TOKENS, World, an_adapter
from lora_demo import installation
from lora_demo.place import OPERATOR_NAMESPACE, ROOT


def test_helm_test_asks_a_served_adapter(clean: World) -> None:
    clean.apply(an_adapter("a", "a"))
    clean.ready("a")
    installation.helm(
        clean.cluster, "upgrade", installation.RELEASE, str(ROOT / "helm" / "lora-operator"), "-n", OPERATOR_NAMESPACE,
        "--reuse-values", f"--set=test.model={MODEL},test.adapter=a,test.namespace={NAMESPACE}",
    )  # fmt: skip
    said = installation.helm(clean.cluster, "test", installation.RELEASE, "-n", OPERATOR_NAMESPACE)
    assert "Succeeded" in said


def test_pods_run_as_nobody_with_nothing_to_write_on_and_no_token(world: World) -> None:
    pod = sorted(world.pod_ips())[0]
    check = (
        "import os, pathlib\n"
        "assert os.getuid() == 65532\n"
        "assert not pathlib.Path('/var/run/secrets/kubernetes.io').exists()\n"
        "try:\n    open('/opt/x', 'w')\nexcept OSError as error:\n    print(error)\n"
        "else:\n    raise SystemExit('the root file system can be written')\n"
    )
    assert "Read-only file system" in world.kubectl("exec", pod, "--", "python3", "-c", check)


def test_asking_for_log_probabilities_does_not_kill_the_engine_as_shipped(world: World) -> None:
    restarts = world.restarts()
    answer = world.complete(MODEL, logprobs=3)
    assert answer.status_code == 200
    assert len(answer.json()["choices"][0]["logprobs"]["token_logprobs"]) == TOKENS
    assert world.restarts() == restarts
