"""What the API server tells of statuses and pods, by a watch of our own."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from chaos.sightings import Status
from lora_api import labels

_PAUSE_SECONDS = 0.2

Object = Mapping[str, Any]


class Following:
    """All objects of one kind in a namespace, by name, as a watch tells them; ends with the process, or when closed."""

    def __init__(
        self, listing: Callable[..., Any], arguments: tuple[str, ...], api: client.ApiClient, **query: str
    ) -> None:
        self._listing, self._arguments, self._api, self._query = listing, arguments, api, query
        self.objects: dict[str, Object] = {}
        self.synced = False
        """Whether the connection stands."""
        self._closed = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more news."""
        self._closed = True

    def _follow(self) -> None:
        while not self._closed:
            try:
                self._once()
            except (ApiException, HTTPError, OSError):
                self.synced = False
                time.sleep(_PAUSE_SECONDS)

    def _once(self) -> None:
        found = self._plain(self._listing(*self._arguments, **self._query))
        self.objects = {item["metadata"]["name"]: item for item in found["items"]}
        self.synced = True
        stream = watch.Watch().stream(
            self._listing,
            *self._arguments,
            resource_version=found["metadata"]["resourceVersion"],
            timeout_seconds=300,
            **self._query,
        )
        for event in stream:
            if self._closed:
                return
            stored = self._plain(event["object"])
            if event["type"] == "DELETED":
                self.objects.pop(stored["metadata"]["name"], None)
            else:
                self.objects[stored["metadata"]["name"]] = stored

    def _plain(self, found: Any) -> Any:
        return found if isinstance(found, dict) else self._api.sanitize_for_serialization(found)


def adapters(api: client.ApiClient, namespace: str) -> Following:
    """The LoRAAdapters."""
    return _custom(api, namespace, "loraadapters")


def models(api: client.ApiClient, namespace: str) -> Following:
    """The LoRAModels."""
    return _custom(api, namespace, "loramodels")


def pods(api: client.ApiClient, namespace: str, model: str) -> Following:
    """The pods of a model."""
    listing = client.CoreV1Api(api).list_namespaced_pod
    return Following(listing, (namespace,), api, label_selector=f"{labels.MODEL}={model}")


def _custom(api: client.ApiClient, namespace: str, plural: str) -> Following:
    listing = client.CustomObjectsApi(api).list_namespaced_custom_object
    return Following(listing, (labels.GROUP, labels.VERSION, namespace, plural), api)


def status_of(stored: Object) -> Status:
    """What the object's status says."""
    status = stored.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    return Status(
        uid=stored["metadata"]["uid"],
        ready=ready.get("status") == "True",
        available=conditions.get("Available", {}).get("status") == "True",
        observed_generation=ready.get("observedGeneration", 0),
        reason=ready.get("reason", ""),
        message=ready.get("message", ""),
        updated=(status.get("pods") or {}).get("updated", 0),
    )


def is_ready(pod: Object) -> bool:
    """Whether requests are led to the pod."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
