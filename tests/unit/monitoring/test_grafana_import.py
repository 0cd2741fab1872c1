"""The command that imports the dashboard sends Grafana what its API takes."""

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from support.snippets import ROOT, snippets

HOW_TO = ROOT / "docs" / "how-to" / "monitor.md"


class Grafana(HTTPServer):
    """Takes one import, and keeps what came."""

    path = ""
    user = ""
    body: dict[str, Any] = {}  # noqa: RUF012  # set as a whole


class _Handler(BaseHTTPRequestHandler):
    server: Grafana

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.path, self.server.body = self.path, json.loads(self.rfile.read(length))
        self.server.user = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps the test's output quiet."""


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with Grafana(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)


def test_one_command_imports_the_dashboard_and_replaces_an_earlier_one(grafana: Grafana) -> None:
    (command,) = (found.text for found in snippets(HOW_TO) if "/api/dashboards/db" in found.text)
    command = command.replace("http://localhost:3000", f"http://127.0.0.1:{grafana.server_port}")
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=ROOT, check=True, timeout=30)
    dashboard = json.loads((ROOT / "helm/lora-operator/files/monitoring/dashboard.json").read_text())
    assert (grafana.path, grafana.user) == ("/api/dashboards/db", "admin:admin")
    assert grafana.body == {"overwrite": True, "dashboard": dashboard}
    assert "id" not in dashboard, "or Grafana looks for one that it already has"
