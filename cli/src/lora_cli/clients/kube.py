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
from lora_cli.clients import answers, broken
from lora_cli.domain import names
from lora_cli.domain.objects import Json
from lora_cli.errors import Failed

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_TIMEOUT_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_CONNECTIONS = 16
_KUBECONFIG = "~/.kube/config"


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
            Failed: there is none, or it cannot be used, or the namespace is no name.
        """
        configuration = client.Configuration()
        file = None if kubeconfig is None else str(kubeconfig)
        where = file or os.environ.get("KUBECONFIG") or _KUBECONFIG
        if not any(Path(one).expanduser().exists() for one in where.split(os.pathsep) if one):
            raise Failed(
                ErrorCode.NOT_FOUND,
                f"there is no kubeconfig {where}, and so no cluster to talk to: name one by --kubeconfig or KUBECONFIG, or a "
                f"server without a cluster by --server URL",
                then="kubectl lora status --kubeconfig FILE",
            )
        try:
            contexts, active = config.list_kube_config_contexts(config_file=file)
            config.load_kube_config(config_file=file, context=context, client_configuration=configuration)
        except (config.ConfigException, OSError, yaml.YAMLError) as error:
            raise Failed(
                ErrorCode.INVALID,
                f"the kubeconfig {where} cannot be used: {broken.in_words(error)}; name another with --kubeconfig or KUBECONFIG",
                then="kubectl config get-contexts",
            ) from error
        used = next((found for found in contexts if found["name"] == context), active)
        at_home = used["context"].get("namespace") or "default" if namespace is None else namespace
        return cls(configuration, names.of_namespace(at_home), connect_seconds)

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
        try:
            return self._answer(method, path, query, body, content_type)
        except broken.Dropped:
            if method != "GET":
                raise
        return self._answer(method, path, query, body, content_type)

    def lines(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | None] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        patience_seconds: float,
    ) -> Iterator[str]:
        """The lines of an answer, each as soon as it arrives; silence for longer than the patience is an error."""
        response = self._send(method, path, query, body, JSON, patience_seconds, headers)
        with self._reaching():
            yield from answers.lines(response)

    def _answer(
        self, method: str, path: str, query: Mapping[str, str | None] | None, body: object, content_type: str
    ) -> Json:
        response = self._send(method, path, query, body, content_type, _TIMEOUT_SECONDS)
        with self._reaching():
            answer: Json = json.loads(answers.read(response))
        return answer

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | None] | None,
        body: object,
        content_type: str,
        read_seconds: float,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        asked = {key: value for key, value in (query or {}).items() if value is not None}
        url = f"{path}?{urlencode(asked)}" if asked else path
        with self._reaching():
            request = self._api.param_serialize(
                method, url, header_params={"Accept": "*/*", "Content-Type": content_type, **(headers or {})},
                body=body, auth_settings=["BearerToken"],
            )  # fmt: skip
            response = self._api.call_api(*request, _request_timeout=(self._connect_seconds, read_seconds)).response
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise answers.refused(response)
        return response

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """What goes wrong on the way, in words."""
        try:
            yield
        except (urllib3.exceptions.HTTPError, client.ApiException, OSError, json.JSONDecodeError) as error:
            raise broken.unreachable(f"the API server at {self._host}", error, "kubectl lora doctor") from error
