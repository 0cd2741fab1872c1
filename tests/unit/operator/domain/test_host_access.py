"""A pod template may shape the pods, and give them nothing of their node."""

from typing import Any

import pytest

from lora_api.v1alpha1.conditions import Reason
from lora_operator.domain import acceptance
from lora_operator.domain.acceptance import Policy
from lora_operator.domain.host_access import host_access
from support.builders import a_model, a_snapshot


def in_runtime(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "runtime", **fields}]}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"hostPID": True}, "hostPID"),
        ({"hostIPC": True}, "hostIPC"),
        ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "securityContext.seccompProfile"),
        ({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}, "securityContext.sysctls"),
        ({"securityContext": {"windowsOptions": {"hostProcess": True}}}, "securityContext.windowsOptions.hostProcess"),
        (
            {"initContainers": [{"name": "x", "securityContext": {"privileged": True}}]},
            "initContainers[0].securityContext.privileged",
        ),
        (in_runtime(securityContext={"privileged": True}), "containers[0].securityContext.privileged"),
        (
            in_runtime(securityContext={"capabilities": {"add": ["CHOWN", "SYS_ADMIN"]}}),
            "containers[0].securityContext.capabilities.add SYS_ADMIN",
        ),
        (in_runtime(securityContext={"procMount": "Unmasked"}), "containers[0].securityContext.procMount"),
        (
            in_runtime(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
            "containers[0].securityContext.appArmorProfile",
        ),
        (
            in_runtime(securityContext={"seLinuxOptions": {"type": "spc_t"}}),
            "containers[0].securityContext.seLinuxOptions",
        ),
        (in_runtime(ports=[{"containerPort": 1, "hostPort": 22}]), "containers[0].ports[0].hostPort"),
        (
            in_runtime(livenessProbe={"httpGet": {"host": "169.254.169.254", "port": 80}}),
            "containers[0].livenessProbe.httpGet.host",
        ),
        (
            in_runtime(lifecycle={"preStop": {"tcpSocket": {"host": "127.0.0.1", "port": 80}}}),
            "containers[0].lifecycle.preStop.tcpSocket.host",
        ),
    ],
)
def test_what_reaches_into_the_node_is_refused_by_its_path(spec: dict[str, Any], path: str) -> None:
    snapshot = a_snapshot(model=a_model(podTemplate={"spec": spec}))
    rejected = acceptance.model_rejection(snapshot, Policy())
    assert rejected is not None
    assert rejected.reason is Reason.INVALID_POD_TEMPLATE
    assert f"spec.podTemplate.spec.{path} would give the pods" in rejected.message
    assert "allowHostAccess" in rejected.message
    assert acceptance.model_rejection(snapshot, Policy(allow_host_access=True)) is None


def test_an_annotation_that_lifts_app_armor_is_one_of_them() -> None:
    name = "container.apparmor.security.beta.kubernetes.io/runtime"
    assert host_access({"metadata": {"annotations": {name: "unconfined"}}}) == (
        f"spec.podTemplate.metadata.annotations {name}",
    )
    assert host_access({"metadata": {"annotations": {name: "runtime/default"}}}) == ()


@pytest.mark.parametrize(
    "template",
    [
        {},
        {"spec": {"hostNetwork": False, "nodeSelector": {"gpu": "yes"}, "securityContext": {"runAsUser": 1000}}},
        {"spec": in_runtime(livenessProbe={"httpGet": {"path": "/x", "port": 1}}, ports=[{"containerPort": 1}])},
        {"spec": in_runtime(securityContext={"capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "Localhost"}})},
    ],
)  # fmt: skip
def test_the_rest_is_for_the_author_to_choose(template: dict[str, Any]) -> None:
    assert host_access(template) == ()


@pytest.mark.parametrize("template", [{"spec": 1}, {"spec": {"containers": 1}}, {"spec": {"containers": [1]}},
                                      {"spec": {"containers": [{"securityContext": [], "ports": {}, "lifecycle": 1}]}}])  # fmt: skip
def test_a_template_of_no_shape_is_left_to_those_who_merge_it(template: dict[str, Any]) -> None:
    assert host_access(template) == ()
