"""What the API server says of itself, of its user, and of the operator."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from lora_api import labels
from lora_cli.clients.answers import Refused
from lora_cli.clients.kube import Kube
from lora_cli.domain.health import Right
from lora_cli.domain.objects import Json


class ClusterFacts:
    """Questions that `doctor` asks."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def version(self) -> str:
        """Of the API server."""
        return str(self._kube.request("GET", "/version")["gitVersion"])

    def group_versions(self) -> tuple[str, ...]:
        """Versions of our group that are served."""
        found = self._unless_hidden(f"/apis/{labels.GROUP}")
        return () if found is None else tuple(version["version"] for version in found["versions"])

    def schemas(self) -> Mapping[str, object] | None:
        """Of our version, by kind; None when they cannot be read."""
        found = self._unless_hidden(f"/openapi/v3/apis/{labels.API_VERSION}")
        if found is None:
            return None
        return {name.rpartition(".")[2]: schema for name, schema in found["components"]["schemas"].items()}

    def allowed(self, rights: Iterable[Right]) -> Mapping[Right, bool]:
        """Which of these the user has, in the namespace."""
        return {right: self._may(right) for right in rights}

    def operators(self) -> list[Json] | None:
        """The operator's Deployments in all namespaces; None if the user may not see them."""
        found = self._unless_hidden("/apis/apps/v1/deployments", labelSelector=f"{labels.NAME}=lora-operator")
        return None if found is None else list(found["items"])

    def _may(self, right: Right) -> bool:
        attributes = {
            "namespace": self._kube.namespace, "verb": right.verb, "group": right.group, "resource": right.resource,
            "subresource": right.subresource,
        }  # fmt: skip
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = self._kube.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
        return bool(answer["status"]["allowed"])

    def _unless_hidden(self, path: str, **query: str) -> Json | None:
        try:
            return self._kube.request("GET", path, query=query)
        except Refused as refused:
            if refused.status in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
                return None
            raise
