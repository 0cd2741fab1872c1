"""LoRAModels and LoRAAdapters of the API server."""

import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from lora_api import labels
from lora_api.error_codes import ErrorCode
from lora_api.v1alpha1.adapter import LoRAAdapter
from lora_api.v1alpha1.model import LoRAModel
from lora_cli.clients.answers import Refused
from lora_cli.clients.kube import JSON_PATCH, MERGE_PATCH, Kube
from lora_cli.domain import names
from lora_cli.domain.objects import Json
from lora_cli.domain.seen import LISTED
from lora_cli.errors import Failed

ADAPTERS = LoRAAdapter.plural
MODELS = LoRAModel.plural
EVERYWHERE = ""
"""As a namespace: all of them."""

_FIELD_MANAGER = "kubectl-lora"
_PAGE = "500"
_SILENCE_SECONDS = 75.0
"""The API server sends a watcher a bookmark every minute."""


class Objects:
    """Reads and writes them, in one namespace unless another is named."""

    def __init__(self, kube: Kube, *, dry_run: bool = False) -> None:
        self._kube = kube
        self._tried = {"dryRun": "All" if dry_run else None}
        self._written = self._tried | {"fieldManager": _FIELD_MANAGER}

    def get(self, plural: str, name: str) -> Json:
        """One object.

        Raises:
            Failed: NotFound, in words that say what else to look at.
        """
        try:
            return self._kube.request("GET", self._path(plural, name))
        except Refused as refused:
            if refused.code is not ErrorCode.NOT_FOUND:
                raise
            raise self._missing(plural, name) from refused

    def find(self, plural: str, name: str) -> Json | None:
        """One object, or None when there is none."""
        try:
            return self._kube.request("GET", self._path(plural, name))
        except Refused as refused:
            if refused.code is ErrorCode.NOT_FOUND:
                return None
            raise

    def list(self, plural: str, *, namespace: str | None = None, model: str | None = None) -> Json:
        """All of a kind as they were together, perhaps those of one model only, with the version of that moment."""
        fields = None if model is None else f"spec.modelRef.name={names.of_object(model)}"
        items: list[Json] = []
        page: dict[str, str | None] = {"fieldSelector": fields, "limit": _PAGE}
        while True:
            answer = self._kube.request("GET", self._path(plural, namespace=namespace), query=page)
            kind, version = answer["kind"].removesuffix("List"), answer["apiVersion"]
            # A list says the kind of its items once.
            items.extend({"apiVersion": version, "kind": kind, **item} for item in answer["items"])
            page["continue"] = answer["metadata"].get("continue") or None
            if page["continue"] is None:
                return answer | {"items": items}

    def watch(self, plural: str, version: str, *, namespace: str | None = None) -> Iterator[tuple[str, Json]]:
        """Each change after a version, as (ADDED, MODIFIED or DELETED, object), until the API server ends it.

        That includes a version that is too old by now: whoever watches looks again.
        """
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
        }
        path = self._path(plural, namespace=namespace)
        try:
            for line in self._kube.lines("GET", path, query=query, patience_seconds=_SILENCE_SECONDS):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] != "BOOKMARK":
                    yield event["type"], event["object"]
        except Refused as refused:
            if refused.status != HTTPStatus.GONE:
                raise

    def follow(self, plural: str, last: Json, *, namespace: str | None = None) -> Iterator[tuple[str, Json]]:
        """Each change after a list, without end; LISTED and a whole list whenever some may have been missed."""
        while True:
            yield from self.watch(plural, last["metadata"]["resourceVersion"], namespace=namespace)
            # The API server ends every watch after some minutes.
            last = self.list(plural, namespace=namespace)
            yield LISTED, last

    def create(self, plural: str, manifest: Mapping[str, Any]) -> Json:
        """A new object, as it is stored.

        Raises:
            Failed: Conflict, if there is one of this name.
        """
        try:
            return self._kube.request("POST", self._path(plural), query=self._written, body=manifest)
        except Refused as refused:
            if refused.code is not ErrorCode.CONFLICT:
                raise
            name, kind = manifest["metadata"]["name"], manifest["kind"]
            raise Failed(
                ErrorCode.CONFLICT,
                f"there is a {kind} {name} already; take another name, or see what it is, and --replace it",
                then=f"kubectl lora describe {name} -n {self._kube.namespace}",
            ) from refused

    def merge(self, plural: str, name: str, patch: Mapping[str, Any]) -> Json:
        """The object after a merge patch."""
        return self._patched(plural, name, patch, MERGE_PATCH)

    def patch(self, plural: str, name: str, steps: Sequence[Json]) -> Json:
        """The object after the steps of a JSON patch, all or none.

        Raises:
            Failed: Conflict, if what a step tests does not hold.
        """
        try:
            return self._patched(plural, name, steps, JSON_PATCH)
        except Refused as refused:
            # The API server does not say that a test failed, but of what is invalid it says where.
            if refused.status != HTTPStatus.UNPROCESSABLE_ENTITY or (refused.body.get("details") or {}).get("causes"):
                raise
            raise Failed(ErrorCode.CONFLICT, f"somebody else has changed {name} meanwhile; try again") from refused

    def delete(self, plural: str, name: str) -> None:
        """Takes an object away."""
        try:
            self._kube.request("DELETE", self._path(plural, name), query=self._tried)
        except Refused as refused:
            if refused.code is ErrorCode.NOT_FOUND:
                raise self._missing(plural, name) from refused
            raise

    def _patched(self, plural: str, name: str, patch: object, how: str) -> Json:
        try:
            return self._kube.request(
                "PATCH", self._path(plural, name), query=self._written, body=patch, content_type=how
            )
        except Refused as refused:
            if refused.code is ErrorCode.NOT_FOUND:
                raise self._missing(plural, name) from refused
            raise

    def _missing(self, plural: str, name: str) -> Failed:
        kind = LoRAAdapter.kind if plural == ADAPTERS else LoRAModel.kind
        return Failed(
            ErrorCode.NOT_FOUND,
            f"there is no {kind} {name} in namespace {self._kube.namespace}",
            then=f"kubectl lora status -n {self._kube.namespace}",
        )

    def _path(self, plural: str, name: str | None = None, *, namespace: str | None = None) -> str:
        place = self._kube.namespace if namespace is None else namespace
        inside = f"/namespaces/{place}" if place else ""
        # An empty name would be that of all objects: a variable that is not set must not delete them.
        return f"/apis/{labels.API_VERSION}{inside}/{plural}" + ("" if name is None else f"/{names.of_object(name)}")
