"""The last of these tests: what the operator was asked for in all of them, held against what the chart grants it."""

import json

import yaml

from e2e.conftest import World
from lora_demo import installation
from lora_demo.place import OPERATOR_NAMESPACE
from support.least_privilege import Comparison, Right, compare

ACCOUNT = f"system:serviceaccount:{OPERATOR_NAMESPACE}:lora-operator"
BY_ADMISSION = [
    # Children that block the deletion of their owner are refused without it: by the plugin OwnerReferencesPermissionEnforcement.
    Right("update", "lora-operator.io/loramodels/finalizers"),
]


def test_the_operator_used_every_right_that_it_has_and_no_other_and_read_no_secret(world: World) -> None:
    manifest = installation.helm(world.cluster, "get", "manifest", installation.RELEASE, "-n", OPERATOR_NAMESPACE)
    roles = [found for found in yaml.safe_load_all(manifest) if found and found["kind"] in ("Role", "ClusterRole")]
    with world.cluster.audit_log.open(encoding="utf-8") as log:
        found = compare(roles, map(json.loads, log), ACCOUNT, by_admission=BY_ADMISSION)
    assert found == Comparison((), (), ())
