"""The last of these tests: what the operator was asked for in all of them, held against what the chart grants it."""

import json

import yaml

from e2e.conftest import ACCOUNT, World, an_adapter
from lora_demo import installation
from lora_demo.place import OPERATOR_NAMESPACE
from support.least_privilege import Comparison, Right, compare

BY_ADMISSION = [
    # Children that block the deletion of their owner are refused without it: by the plugin OwnerReferencesPermissionEnforcement.
    Right("update", "lora-operator.io/loramodels/finalizers"),
]


def test_the_operator_used_every_right_that_it_has_and_no_other_and_read_no_secret(clean: World) -> None:
    tell_the_same_twice(clean)
    stand_by_for_a_moment(clean)
    manifest = installation.helm(clean.cluster, "get", "manifest", installation.RELEASE, "-n", OPERATOR_NAMESPACE)
    roles = [found for found in yaml.safe_load_all(manifest) if found and found["kind"] in ("Role", "ClusterRole")]
    with clean.cluster.audit_log.open(encoding="utf-8") as log:
        found = compare(roles, map(json.loads, log), ACCOUNT, by_admission=BY_ADMISSION)
    assert found == Comparison((), (), (), denied=())


def tell_the_same_twice(world: World) -> None:
    """An event that repeats is changed, which none of the other tests makes sure of."""
    world.apply(an_adapter("a", "a"))
    world.ready("a")
    for weight in (0.5, 1, 0.5):
        world.patch("a", {"weight": weight})
        world.ready("a")


def stand_by_for_a_moment(world: World) -> None:
    """An operator that stands by watches the Lease, which one that is alone does not."""

    def kubectl(*arguments: str) -> str:
        return world.cluster.kubectl("-n", OPERATOR_NAMESPACE, *arguments)

    kubectl("scale", "deployment/lora-operator", "--replicas=2")
    kubectl("rollout", "status", "deployment/lora-operator", "--timeout=120s")
    kubectl("scale", "deployment/lora-operator", "--replicas=1")
    # Its watch is in the audit log once it has ended.
    world.until("one operator alone", lambda: len(kubectl("get", "pods", "--output=name").split()) == 1)
