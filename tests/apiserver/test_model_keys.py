"""The key of a model on its way through a real API server, which keeps the user's own login for itself."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
import pytest
from kubernetes import client

from local_cluster import Cluster
from lora_api.error_codes import ErrorCode
from lora_cli.clients.kube import Kube
from lora_cli.clients.serving import Serving, ThroughTheApiServer
from lora_cli.errors import Failed

pytestmark = pytest.mark.apiserver

SECONDS = 20.0
PORT = "http"


class WhoWantsAKey(BaseHTTPRequestHandler):
    """Answers whoever shows it as X-Api-Key, as a pod does."""

    def do_POST(self) -> None:
        if self.headers["X-Api-Key"] == "the key" and self.headers["Authorization"] is None:
            status, data = 200, b'data: {"choices": [{"delta": {"content": "Ahoy"}}]}\n\ndata: [DONE]\n\n'
        else:
            status, data = 401, b'{"error": {"message": "Incorrect API key.", "code": "Unauthorized"}}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        return


def own_address() -> str:
    """One of this machine that is not loopback, to which the API server would pass nobody on."""
    found = [a.address for listed in psutil.net_if_addrs().values() for a in listed if a.family.name == "AF_INET"]
    return str(next(address for address in found if not address.startswith("127.")))


def lead_to(core: client.CoreV1Api, namespace: str, address: str, port: int) -> None:
    """A Service as that of a model, and a pod that it leads to: the API server's proxy asks for all three objects."""
    named = {"metadata": {"name": "smol"}}
    core.create_namespaced_pod(namespace, named | {"spec": {"containers": [{"name": "c", "image": "none"}]}})
    told = {"status": {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"}}
    core.patch_namespaced_pod_status("smol", namespace, told)
    core.create_namespaced_service(namespace, named | {"spec": {"ports": [{"name": PORT, "port": 8000}]}})
    target = {"ip": address, "targetRef": {"kind": "Pod", "name": "smol", "namespace": namespace}}
    subset = {"addresses": [target], "ports": [{"name": PORT, "port": port}]}
    core.create_namespaced_endpoints(namespace, named | {"subsets": [subset]})


def test_the_api_server_passes_a_model_s_key_on(
    api_server: Cluster, api_client: client.ApiClient, namespace: str
) -> None:
    def said(key: str) -> str:
        through = ThroughTheApiServer(Kube.connect(api_server.kubeconfig, None, namespace), "smol", key)
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                return "".join(piece.text for piece in Serving(through, "pirate").chat([], {}))
            except Failed as failed:
                if failed.code not in (ErrorCode.NOT_FOUND, ErrorCode.UNREACHABLE) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    with ThreadingHTTPServer((own_address(), 0), WhoWantsAKey) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lead_to(client.CoreV1Api(api_client), namespace, own_address(), server.server_port)
        try:
            assert said("the key") == "Ahoy"
            with pytest.raises(Failed, match="does not take this API key") as failed:
                said("another")
            assert failed.value.code is ErrorCode.UNAUTHORIZED
        finally:
            server.shutdown()
