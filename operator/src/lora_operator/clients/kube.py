"""The Kubernetes API, as plain JSON: get, list, watch, create, merge patch, server-side apply."""

import asyncio
import copy
import json
import math
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
from kubernetes.aio import client, config

from lora_operator.clients.stale_sockets import failing_as_connections_do

Manifest = Mapping[str, Any]
Count = Callable[[str, str, int], None]
"""Told the method, kind of object and HTTP status of each answer; status 0 is none."""

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_ONLY_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PAGE = 500
_TIMEOUT_SECONDS = 30.0
_CONNECT_SECONDS = 5.0
_SILENCE_SECONDS = 75.0
"""The API server sends a watcher a bookmark every minute; one that hears nothing for longer has lost it."""
_CONNECTIONS = 64
_SHAPELESS = ("failed to create typed patch object", "failed to convert new object")
"""How the API server says, with status 500, that what is applied has not the shape of its kind."""


NOT_THERE = "1"
"""As the resourceVersion of what is applied: the object must not exist. No object ever has this version."""


class KubeError(Exception):
    """The API server refused a request, or did not answer (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_refusal(self) -> bool:
        """Whether the same request would be refused again: the object is at fault, not the server."""
        return self.is_malformed or self.status == HTTPStatus.FORBIDDEN

    @property
    def is_malformed(self) -> bool:
        """Whether the object is refused for what it says, not for what is allowed to whom."""
        if self.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            return any(words in str(self) for words in _SHAPELESS)
        return self.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of namespaced object."""

    kind: str
    plural: str
    api_version: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of an object, or of all objects; without a namespace, those of the whole cluster."""
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        parts = [root, f"namespaces/{namespace}" if namespace else "", self.plural, name or "", subresource or ""]
        return "/".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API server is and how to log in."""

    server: str
    ca_path: str | None
    insecure: bool
    token: str | None
    certificate_path: str | None
    key_path: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects as they were together at one resource version."""

    items: list[dict[str, Any]]
    version: str


class Kube:
    """A connection to one API server. Every call may raise KubeError."""

    def __init__(self, configuration: Any, count: Count = lambda method, kind, status: None) -> None:
        self._configuration = configuration
        self._count = count
        self._api = client.ApiClient(configuration)
        self._may_write = _for_ever

    @classmethod
    async def connect(cls, count: Count) -> Self:
        """Connects as the pod's service account, else by the kubeconfig.

        Raises:
            KubeError: neither exists or can be read.
        """
        configuration = client.Configuration()
        try:
            config.load_incluster_config(configuration)
        except config.ConfigException:
            try:
                await config.load_kube_config(client_configuration=configuration)
            except (config.ConfigException, OSError) as error:
                raise KubeError(
                    0, f"no API server to talk to: not in a pod, and the kubeconfig says {error}; set KUBECONFIG"
                ) from error
        configuration.connection_pool_maxsize = _CONNECTIONS
        # Proxies of the environment are for the world outside; the API server's own is in the kubeconfig.
        configuration.client_session_kwargs = {"trust_env": False}
        return cls(configuration, count)

    def writing_while(self, may_write: Callable[[], float]) -> Self:
        """The same connection, for writes that each begin and end within so many seconds from when they are sent."""
        bounded = copy.copy(self)
        bounded._may_write = may_write
        return bounded

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.close()

    async def connection(self) -> Connection:
        """What another client needs to talk to the same server; the token is read again at each call."""
        header = await self._configuration.get_api_key_with_prefix("BearerToken")
        return Connection(
            server=self._configuration.host,
            ca_path=self._configuration.ssl_ca_cert,
            insecure=not self._configuration.verify_ssl,
            token=header.split(" ", 1)[-1].strip() if header else None,
            certificate_path=self._configuration.cert_file,
            key_path=self._configuration.key_file,
        )

    async def get(
        self, resource: Resource, namespace: str, name: str, *, metadata_only: bool = False
    ) -> dict[str, Any] | None:
        """One object, or None."""
        accept = _METADATA_ONLY if metadata_only else "application/json"
        try:
            return await self._request("GET", resource.path(namespace, name), kind=resource.kind, accept=accept)
        except KubeError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def list(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        not_older_than: str | None = None,
        metadata_only: bool = False,
    ) -> Listing:
        """All objects that match both selectors, as they were at one resource version.

        The newest version, read page by page; or, given one that is good enough, the API server's memory in one go.
        """
        query: dict[str, str | None] = {"labelSelector": labels, "fieldSelector": fields}
        if not_older_than is None:
            query["limit"] = str(_PAGE)
        else:
            query |= {"resourceVersion": not_older_than, "resourceVersionMatch": "NotOlderThan"}
        accept = f"{_METADATA_ONLY_LIST},application/json" if metadata_only else "application/json"
        found: list[dict[str, Any]] = []
        while True:
            page = await self._request("GET", resource.path(namespace), kind=resource.kind, query=query, accept=accept)
            # An empty list of metadata alone is null.
            found += page["items"] or ()
            token = page["metadata"].get("continue")
            if not token:
                return Listing(found, page["metadata"]["resourceVersion"])
            query["continue"] = token

    async def apply(
        self,
        resource: Resource,
        manifest: Manifest,
        *,
        field_manager: str,
        subresource: str | None = None,
        metadata_only: bool = False,
    ) -> dict[str, Any]:
        """Server-side apply: what the manifest says is ours from now on, whoever had it. Answers the stored object.

        With a resourceVersion in its metadata, only if the object is at that version, else it is a conflict (409).
        """
        metadata = manifest["metadata"]
        return await self._request(
            "PATCH",
            resource.path(metadata["namespace"], metadata["name"], subresource),
            kind=resource.kind,
            query={"fieldManager": field_manager, "force": "true"},
            body=manifest,
            content_type=_APPLY,
            accept=_METADATA_ONLY if metadata_only else "application/json",
        )

    async def merge(
        self, resource: Resource, namespace: str, name: str, patch: Manifest, *, subresource: str | None = None
    ) -> dict[str, Any]:
        """Changes the given fields of an object; None removes one. Answers the stored object."""
        path = resource.path(namespace, name, subresource)
        return await self._request("PATCH", path, kind=resource.kind, body=patch, content_type=_MERGE)

    async def create(self, resource: Resource, manifest: Manifest) -> bool:
        """Creates an object; False when one of its name exists."""
        try:
            path = resource.path(manifest["metadata"]["namespace"])
            await self._request("POST", path, kind=resource.kind, body=manifest)
        except KubeError as error:
            if error.status == HTTPStatus.CONFLICT:
                return False
            raise
        return True

    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        after: str | None,
        seconds: float,
        metadata_only: bool = False,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """What happens to all objects that match both selectors after a version, for so many seconds at most.

        Without a version it begins with what is there. Bookmarks are among it. A version that is too old is the error 410.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": after,
            "timeoutSeconds": str(max(1, math.ceil(seconds))),
            "labelSelector": labels,
            "fieldSelector": fields,
        }
        path = resource.path(namespace)
        # The API server ends it in time, or else this side does.
        patience = aiohttp.ClientTimeout(
            total=seconds + _CONNECT_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS
        )
        accept = f"{_METADATA_ONLY},application/json" if metadata_only else "application/json"
        try:
            request = await self._serialized("GET", path, query, None, "application/json", accept)
            with failing_as_connections_do():
                response = await self._api.call_api(*request, _request_timeout=patience)
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise KubeError(response.status, f"watching {path}: {_reason(await response.read())}")
            try:
                async for line in response.response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise KubeError(event["object"].get("code", 0), f"watching {path}: {event['object']}")
                    yield event
            finally:
                response.response.close()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise KubeError(0, f"watching {path}: {error!r}") from error

    async def _request(
        self,
        method: str,
        path: str,
        *,
        kind: str = "other",
        query: Mapping[str, str | None] | None = None,
        body: Manifest | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> dict[str, Any]:
        try:
            request = await self._serialized(method, path, query or {}, body, content_type, accept)
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                while True:
                    seconds = _TIMEOUT_SECONDS if method == "GET" else min(_TIMEOUT_SECONDS, self._may_write())
                    if seconds <= 0:
                        raise KubeError(0, f"{method} {path}: not sent, since another operator may be at work by now")
                    with failing_as_connections_do():
                        response = await self._api.call_api(*request, _request_timeout=seconds)
                    data = await response.read()
                    self._count(method, kind, response.status)
                    if response.status != HTTPStatus.TOO_MANY_REQUESTS:
                        break
                    # Asked to wait: a new CRD's cache is being filled, or the server is busy.
                    await asyncio.sleep(float(response.headers.get("Retry-After", 1)))
        # The last: what stands between may answer in ways of its own, such as with a date to wait for.
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._count(method, kind, 0)
            raise KubeError(0, f"{method} {path}: no answer from the API server: {error!r}") from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise KubeError(response.status, f"{method} {path}: {response.status} {_reason(data)}")
        try:
            answer: dict[str, Any] = json.loads(data)
        except ValueError as error:
            raise KubeError(0, f"{method} {path}: the answer is no JSON: {_reason(data)}") from error
        return answer

    async def _serialized(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | None],
        body: Manifest | None,
        content_type: str,
        accept: str,
    ) -> Any:
        return await self._api.param_serialize(
            method,
            path,
            query_params=[(name, value) for name, value in query.items() if value is not None],
            header_params={"Accept": accept, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )


def _for_ever() -> float:
    return math.inf


def _reason(data: bytes) -> str:
    """The message of a metav1.Status, or the start of whatever was answered instead."""
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data[:300].decode(errors="replace")
