"""The pods of a model one by one, through the API server."""

import json
from collections.abc import Iterator
from typing import Any

from lora_api import labels
from lora_api.error_codes import ErrorCode
from lora_cli.clients.answers import Refused
from lora_cli.clients.kube import Kube
from lora_cli.clients.serving import ThroughTheApiServer
from lora_cli.domain.objects import Json
from lora_cli.errors import Failed

_PATH = "/v1/xlora/scalings/"
_PORT = "http"
"""Name of the serving port in pods."""
_PATIENCE_SECONDS = 60.0


def scalings(kube: Kube, model: str, answer_id: str, api_key: str | None) -> Json:
    """What the pod that gave an answer tells of it, and `pod`, its name.

    Raises:
        Failed: no pod knows it, or none that can be asked.
    """
    silent: dict[str, Failed] = {}
    asked = list(_running(kube, model))
    for name, port in asked:
        transport = ThroughTheApiServer(kube, model, api_key, f"{name}:{port}")
        try:
            lines = transport.lines("GET", _PATH + answer_id, patience_seconds=_PATIENCE_SECONDS)
            found: Json = json.loads("".join(lines))
        except Failed as failed:
            if failed.code in (ErrorCode.FORBIDDEN, ErrorCode.UNAUTHORIZED):
                raise
            if failed.code is not ErrorCode.NOT_FOUND:
                silent[name] = failed
        else:
            return found | {"pod": name}
    raise _unknown(kube, model, answer_id, len(asked), silent)


def _running(kube: Kube, model: str) -> Iterator[tuple[str, int]]:
    try:
        path = f"/api/v1/namespaces/{kube.namespace}/pods"
        listed = kube.request("GET", path, query={"labelSelector": f"{labels.MODEL}={model}"})
    except Refused as refused:
        if refused.code is not ErrorCode.FORBIDDEN:
            raise
        raise Failed(
            ErrorCode.FORBIDDEN,
            f"each pod keeps the scalings of its own answers, and you may not see which pods there are: {refused}",
            then=f"kubectl auth can-i list pods -n {kube.namespace}",
        ) from refused
    for pod in listed["items"]:
        port = _serving_port(pod)
        if port is not None and pod.get("status", {}).get("phase") == "Running":
            yield pod["metadata"]["name"], port


def _serving_port(pod: Json) -> int | None:
    ports: Iterator[Any] = (port for container in pod["spec"]["containers"] for port in container.get("ports", ()))
    return next((port["containerPort"] for port in ports if port.get("name") == _PORT), None)


def _unknown(kube: Kube, model: str, answer_id: str, asked: int, silent: dict[str, Failed]) -> Failed:
    describe = f"kubectl lora describe {model} -n {kube.namespace}"
    if asked == 0:
        return Failed(
            ErrorCode.UNREACHABLE,
            f"no pod of {model} is running; those that answered have taken their scalings with them",
            then=describe,
        )
    if silent:
        said = "; ".join(f"{name}: {failed}" for name, failed in silent.items())
        message = f"{asked - len(silent)} of {asked} pods of {model} do not know {answer_id}, and {len(silent)} did not say: {said}"
        return Failed(ErrorCode.UNREACHABLE, message, then=describe)
    nobody = (
        f"the only running pod of {model} does not know"
        if asked == 1
        else f"none of the {asked} running pods of {model} knows"
    )
    return Failed(
        ErrorCode.NOT_FOUND,
        f"{nobody} {answer_id}. Each keeps the last spec.mixture.scalingsKept of its own "
        f"answers, and a pod that ends or restarts forgets them; ask by the `id` of the answer or its X-Request-Id",
        then=f"kubectl lora chat {model} 'Why?' -o json -n {kube.namespace}",
    )
