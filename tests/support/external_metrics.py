"""A HorizontalPodAutoscaler of a model, and a stand-in for the metrics adapter (KEDA, prometheus-adapter) that it asks.

A stand-in, because neither it nor the Prometheus behind it is what the tests are about: the autoscaler's controller, the API
server that passes its questions on, and the scale subresource that it writes are the real ones.
"""

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from kubernetes import client

from support.custom_resources import mutated
from support.tls import server_context
from support.web_server import WebServer, running_web_server

_GROUP, _VERSION = "external.metrics.k8s.io", "v1beta1"
_ROOT = f"/apis/{_GROUP}/{_VERSION}"
_SERVICE = "metrics-adapter"
_HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "autoscale.md"


def the_autoscaler_of_the_how_to() -> dict[str, Any]:
    """As a reader has it, without the wait."""
    found = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", _HOW_TO.read_text(), re.DOTALL)]
    [autoscaler] = [each for each in found if each.get("kind") == "HorizontalPodAutoscaler"]
    # Five minutes by default, so that pods do not come and go with every lull.
    return mutated(autoscaler, {"spec.behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}})


@dataclass(frozen=True)
class ExternalMetrics:
    """What the autoscalers of one namespace are told."""

    web: WebServer
    namespace: str

    def say(self, metric: str, value: int) -> None:
        """Sets a metric, summed over the pods of a model."""
        item = {"metricName": metric, "metricLabels": {}, "timestamp": _now(), "value": str(value)}
        listed = {
            "kind": "ExternalMetricValueList",
            "apiVersion": f"{_GROUP}/{_VERSION}",
            "metadata": {},
            "items": [item],
        }
        self.web.files[f"{_ROOT}/namespaces/{self.namespace}/{metric}"] = json.dumps(listed).encode()


@contextmanager
def external_metrics(
    api: client.ApiClient, namespace: str, folder: Path, host: str = "127.0.0.1"
) -> Iterator[ExternalMetrics]:
    """Serves the metrics API over HTTPS and registers it, for the whole cluster, meanwhile.

    Args:
        host: the address of this machine at which the API server reaches it.
    """
    context, authority = server_context(folder, f"{_SERVICE}.{namespace}.svc")
    with running_web_server(host, context) as web:
        web.content_type = "application/json"
        resources = [
            {"name": "*", "singularName": "", "namespaced": True, "kind": "ExternalMetricValueList", "verbs": ["get"]}
        ]
        found = {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{_GROUP}/{_VERSION}",
            "resources": resources,
        }
        web.files[_ROOT] = json.dumps(found).encode()
        port = urlsplit(web.url).port
        # No Service's address leads out of a cluster, or anywhere in one without a node: so it leads to this machine by name.
        service = {"metadata": {"name": _SERVICE}, "spec": {"type": "ExternalName", "externalName": host}}
        client.CoreV1Api(api).create_namespaced_service(namespace, service)
        registrations, name = client.ApiregistrationV1Api(api), f"{_VERSION}.{_GROUP}"
        registration = {
            "metadata": {"name": name},
            "spec": {
                "group": _GROUP,
                "version": _VERSION,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "service": {"name": _SERVICE, "namespace": namespace, "port": port},
                "caBundle": base64.b64encode(authority.read_bytes()).decode(),
            },
        }
        registrations.create_api_service(registration)
        try:
            yield ExternalMetrics(web, namespace)
        finally:
            # No namespace of the cluster can be deleted while an API group does not answer.
            registrations.delete_api_service(name)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
