"""A connection to the API server with the user's own kubeconfig: plain JSON in and out, and lines of what streams."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import urllib3
import yaml
from kubernetes import client, config

from lora_api.error_codes import ErrorCode
from lora_cli.domain.objects import Json
from lora_cli.errors import Failed

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_TIMEOUT_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_CONNECTIONS = 16
_PIECE_BYTES = 1 << 16
"""At most at once; what comes in chunks is handed on chunk by chunk."""

_CODES: dict[int, ErrorCode] = {
    HTTPStatus.UNAUTHORIZED: ErrorCode.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN: ErrorCode.FORBIDDEN,
    HTTPStatus.NOT_FOUND: ErrorCode.NOT_FOUND,
    HTTPStatus.CONFLICT: ErrorCode.CONFLICT,
    HTTPStatus.BAD_REQUEST: ErrorCode.INVALID,
    HTTPStatus.UNPROCESSABLE_ENTITY: ErrorCode.INVALID,
}


class Refused(Failed):
    """An answer with an error status, and what stood in it."""

    def __init__(self, status: int, message: str, body: Json) -> None:
        super().__init__(_CODES.get(status, ErrorCode.UNREACHABLE), message)
        self.status = status
        self.body = body


class Kube:
    """One API server. Every call may raise Failed; an error status raises Refused."""

    def __init__(self, configuration: Any, namespace: str, connect_seconds: float = _CONNECT_SECONDS) -> None:
        # urllib3 would try for half a minute what fails at once.
        configuration.retries = False
        configuration.connection_pool_maxsize = _CONNECTIONS
        self._api = client.ApiClient(configuration)
        self._host = configuration.host
        self._connect_seconds = connect_seconds
        self.namespace = namespace
        """Where the user is at home: that of the context, unless another was asked for."""

    @classmethod
    def connect(
        cls,
        kubeconfig: Path | None,
        context: str | None,
        namespace: str | None,
        connect_seconds: float = _CONNECT_SECONDS,
    ) -> Self:
        """Reads the kubeconfig, as kubectl would.

        Raises:
            Failed: there is none, or it cannot be used.
        """
        configuration = client.Configuration()
        file = None if kubeconfig is None else str(kubeconfig)
        try:
            contexts, active = config.list_kube_config_contexts(config_file=file)
            config.load_kube_config(config_file=file, context=context, client_configuration=configuration)
        except (config.ConfigException, OSError, yaml.YAMLError) as error:
            where = file or os.environ.get("KUBECONFIG") or "~/.kube/config"
            raise Failed(
                ErrorCode.UNREACHABLE,
                f"the kubeconfig {where} cannot be used: {error}; name another with --kubeconfig or KUBECONFIG",
                then="kubectl config get-contexts",
            ) from error
        used = next((found for found in contexts if found["name"] == context), active)
        return cls(configuration, namespace or used["context"].get("namespace") or "default", connect_seconds)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | None] | None = None,
        body: object = None,
        content_type: str = JSON,
    ) -> Json:
        """One question and its whole answer."""
        response = self._send(method, path, query, body, content_type, _TIMEOUT_SECONDS)
        with self._reaching():
            answer: Json = json.loads(_read(response))
        return answer

    def lines(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | None] | None = None,
        body: object = None,
        patience_seconds: float,
    ) -> Iterator[str]:
        """The lines of an answer, each as soon as it arrives; silence for longer than the patience is an error."""
        response = self._send(method, path, query, body, JSON, patience_seconds)
        rest = b""
        with self._reaching(), contextlib.closing(response):
            for piece in response.stream(_PIECE_BYTES, decode_content=True):
                *whole, rest = (rest + piece).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
            if rest:
                yield rest.decode(errors="replace")

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | None] | None,
        body: object,
        content_type: str,
        read_seconds: float,
    ) -> Any:
        asked = {key: value for key, value in (query or {}).items() if value is not None}
        url = f"{path}?{urlencode(asked)}" if asked else path
        with self._reaching():
            request = self._api.param_serialize(
                method, url, header_params={"Accept": "*/*", "Content-Type": content_type}, body=body,
                auth_settings=["BearerToken"],
            )  # fmt: skip
            response = self._api.call_api(*request, _request_timeout=(self._connect_seconds, read_seconds)).response
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise Refused(response.status, *_told(_read(response)))
        return response

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """What goes wrong on the way, in words."""
        try:
            yield
        except (urllib3.exceptions.HTTPError, client.ApiException, OSError, json.JSONDecodeError) as error:
            raise Failed(
                ErrorCode.UNREACHABLE,
                f"the API server at {self._host} does not answer, or not to the end: {error}",
                then="kubectl lora doctor",
            ) from error


def _read(response: Any) -> bytes:
    data: bytes = response.read(decode_content=True)
    response.release_conn()
    return data


def _told(data: bytes) -> tuple[str, Json]:
    """What an answer with an error status says: a metav1.Status, an error as OpenAI's API words it, or anything."""
    text = data.decode(errors="replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return text[:300].strip() or "no words", {}
    error = body.get("error")
    message = error.get("message") if isinstance(error, dict) else body.get("message")
    return str(message or text[:300]), body
