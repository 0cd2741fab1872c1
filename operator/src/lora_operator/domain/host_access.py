"""What in a pod template would give the pods more of their node than a container has: what lies in other namespaces, too.

The fields of the Pod Security Standard "baseline". Namespaces that enforce a standard are held to it by the API server; this
is for those that do not, where whoever may create a LoRAModel could otherwise do what only the operator may: make pods.
Volumes from the node have a setting of their own, `allowHostPath`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_HARMLESS_CAPABILITIES = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})  # fmt: skip
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")


def host_access(pod_template: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths in the patch that ask for it. Nothing has checked its shape yet."""
    annotations = _mapping(_mapping(pod_template.get("metadata")).get("annotations"))
    unconfined = (
        f"spec.podTemplate.metadata.annotations {name}"
        for name, value in annotations.items()
        if name.startswith(_APP_ARMOR) and value == "unconfined"
    )
    return (*_in_pod(_mapping(pod_template.get("spec")), "spec.podTemplate.spec"), *unconfined)


def _in_pod(spec: Mapping[str, Any], path: str) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"{path}.{field}"
    yield from _in_security(_mapping(spec.get("securityContext")), f"{path}.securityContext")
    for field in _CONTAINERS:
        listed = spec.get(field)
        for index, container in enumerate(listed if isinstance(listed, list) else ()):
            yield from _in_container(_mapping(container), f"{path}.{field}[{index}]")


def _in_container(container: Mapping[str, Any], path: str) -> Iterator[str]:
    ports = container.get("ports")
    for index, port in enumerate(ports if isinstance(ports, list) else ()):
        if _mapping(port).get("hostPort"):
            yield f"{path}.ports[{index}].hostPort"
    for field in _PROBES:
        yield from _in_action(_mapping(container.get(field)), f"{path}.{field}")
    lifecycle = _mapping(container.get("lifecycle"))
    for field in _HOOKS:
        yield from _in_action(_mapping(lifecycle.get(field)), f"{path}.lifecycle.{field}")
    yield from _in_security(_mapping(container.get("securityContext")), f"{path}.securityContext")


def _in_action(action: Mapping[str, Any], path: str) -> Iterator[str]:
    # The kubelet asks, from the node and its network.
    for field in ("httpGet", "tcpSocket"):
        if _mapping(action.get(field)).get("host"):
            yield f"{path}.{field}.host"


def _in_security(context: Mapping[str, Any], path: str) -> Iterator[str]:
    if context.get("privileged"):
        yield f"{path}.privileged"
    added = _mapping(context.get("capabilities")).get("add")
    for name in added if isinstance(added, list) else ():
        if name not in _HARMLESS_CAPABILITIES:
            yield f"{path}.capabilities.add {name}"
    if context.get("procMount") not in (None, "Default"):
        yield f"{path}.procMount"
    if context.get("sysctls"):
        yield f"{path}.sysctls"
    for field in ("seccompProfile", "appArmorProfile"):
        if _mapping(context.get(field)).get("type") == "Unconfined":
            yield f"{path}.{field}"
    if context.get("seLinuxOptions"):
        yield f"{path}.seLinuxOptions"
    if _mapping(context.get("windowsOptions")).get("hostProcess"):
        yield f"{path}.windowsOptions.hostProcess"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
