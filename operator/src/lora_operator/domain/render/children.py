"""Every object that the operator applies for one LoRAModel."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lora_api import labels
from lora_api.runtime_api import CONFIG_MAP_KEY, Desired
from lora_api.v1alpha1.model import LoRAModel, ReachableFrom
from lora_operator.domain.observed import ObjectMeta, ObservedModel
from lora_operator.domain.render.config import RenderConfig
from lora_operator.domain.render.engine_flags import SERVING_PORT
from lora_operator.domain.render.pod import ADMIN_PORT, pod_template

Manifest = Mapping[str, Any]

EXCLUDED: Mapping[str, tuple[str, ...]] = {"PodDisruptionBudget": ("minAvailable",)}
"""By kind: fields that the spec of a child cannot have beside its own, and that an apply does not take away from who set them."""


def children(model: ObservedModel, config: RenderConfig, mixture_mark: str | None = None) -> tuple[Manifest, ...]:
    """The model's Service, NetworkPolicy, PodDisruptionBudget and Deployment, each with the hash of what it says.

    Another `mixture_mark` replaces the pods.

    Raises:
        RenderError: the pod template cannot be had; the message says what to change in the spec.
    """
    template = pod_template(model, config, desired_config_map(model.meta.name), mixture_mark)
    return (
        _service(model),
        _network_policy(model, config),
        _disruption_budget(model),
        _deployment(model, template),
    )


def desired_config_map(model: str) -> str:
    """Name of the ConfigMap that holds the model's desired document."""
    return f"{model}-desired"


def _owner_reference(owner: ObjectMeta) -> dict[str, Any]:
    """Makes the garbage collector delete a child together with its LoRAModel."""
    return {
        "apiVersion": labels.API_VERSION,
        "kind": LoRAModel.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def desired_manifest(model: ObjectMeta, document: Desired) -> Manifest:
    """The ConfigMap from which a starting pod reads what to serve."""
    manifest = _child(model, "v1", "ConfigMap", desired_config_map(model.name), "desired")
    return manifest | {"binaryData": {CONFIG_MAP_KEY: base64.b64encode(document.packed()).decode()}}


def _child(owner: ObjectMeta, api_version: str, kind: str, name: str, component: str) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": labels.children(owner.name, component),
            "ownerReferences": [_owner_reference(owner)],
        },
    }


def _hashed(manifest: dict[str, Any]) -> Manifest:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    annotations = {labels.TEMPLATE_HASH: hashlib.sha256(text.encode()).hexdigest()[:16]}
    return manifest | {"metadata": manifest["metadata"] | {"annotations": annotations}}


def _service(model: ObservedModel) -> Manifest:
    spec = {
        "selector": labels.selector(model.meta.name),
        "ports": [{"name": "http", "port": SERVING_PORT, "targetPort": "http", "protocol": "TCP"}],
    }
    return _hashed(_child(model.meta, "v1", "Service", model.meta.name, "service") | {"spec": spec})


def _network_policy(model: ObservedModel, config: RenderConfig) -> Manifest:
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": config.operator_namespace}},
        "podSelector": {"matchLabels": dict(config.operator_pod_labels)},
    }
    spec = {
        "podSelector": {"matchLabels": labels.selector(model.meta.name)},
        "policyTypes": ["Ingress"],
        "ingress": [
            *_serving_rules(model.spec.reachable_from),
            {"ports": [{"port": ADMIN_PORT, "protocol": "TCP"}], "from": [operator]},
        ],
    }
    child = _child(model.meta, "networking.k8s.io/v1", "NetworkPolicy", model.meta.name, "network-policy")
    return _hashed(child | {"spec": spec})


def _serving_rules(clients: ReachableFrom) -> list[dict[str, Any]]:
    # Policies only ever add to each other: whom this one lets in, no other keeps out.
    rule: dict[str, Any] = {"ports": [{"port": SERVING_PORT, "protocol": "TCP"}]}
    match clients:
        case ReachableFrom.EVERYWHERE:
            return [rule]
        case ReachableFrom.NAMESPACE:
            return [rule | {"from": [{"podSelector": {}}]}]
        case ReachableFrom.NOWHERE:
            return []


def _disruption_budget(model: ObservedModel) -> Manifest:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": labels.selector(model.meta.name)}}
    child = _child(model.meta, "policy/v1", "PodDisruptionBudget", model.meta.name, "disruption-budget")
    return _hashed(child | {"spec": spec})


def _deployment(model: ObservedModel, template: dict[str, Any]) -> Manifest:
    spec = {
        "replicas": model.spec.replicas,
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": labels.selector(model.meta.name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": template,
    }
    child = _child(model.meta, "apps/v1", "Deployment", model.meta.name, "runtime")
    return _hashed(child | {"spec": spec})
