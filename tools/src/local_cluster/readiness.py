"""Waiting until a cluster can be used."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import httpx

from local_cluster import processes
from local_cluster.errors import ClusterError
from local_cluster.layout import Layout
from local_cluster.processes import Owner

_POLL_SECONDS = 0.1
_LOG_LINES = 12
_LOOKS = 10
_EXEC_SECONDS = 0.5


class ApiProbe:
    """Asks a cluster's API server, as its administrator, whether things are there yet."""

    def __init__(self, layout: Layout) -> None:
        context = ssl.create_default_context(cafile=str(layout.pki / "ca.crt"))
        context.load_cert_chain(layout.pki / "admin.crt", layout.pki / "admin.key")
        self._node = layout.record.name
        self._address = layout.api_host, layout.record.api_port
        # The environment's proxies know no way to an address that exists on this machine only.
        self._client = httpx.Client(base_url=layout.api_url, verify=context, timeout=5, trust_env=False)

    def close(self) -> None:
        """Lets go of the connections."""
        self._client.close()

    def is_listened_for(self) -> bool:
        """Whether somebody has the API server's port."""
        try:
            with socket.create_connection(self._address, timeout=1):
                return True
        except OSError:
            return False

    def answers(self) -> bool:
        """Whether the API server is ready."""
        return self._get("/readyz") is not None

    def has_default_account(self) -> bool:
        """Whether pods can be made in the namespace `default`."""
        return self._get("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def node_is_ready(self) -> bool:
        """Whether the node is Ready and its kubelet can be reached."""
        node = self._get(f"/api/v1/nodes/{self._node}")
        if node is None:
            return False
        conditions: list[dict[str, Any]] = node.json()["status"].get("conditions", [])
        ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
        # A killed kubelet's node stays Ready for 40 s more.
        return ready and self._get(f"/api/v1/nodes/{self._node}/proxy/healthz") is not None

    def _get(self, path: str) -> httpx.Response | None:
        """The answer, or None if it is not OK or there is none."""
        try:
            response = self._client.get(path)
        except httpx.TransportError:
            return None
        return response if response.status_code == httpx.codes.OK else None


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    needs: Collection[str],
    owner: Owner,
    logs: Path,
    deadline_seconds: float,
) -> None:
    """Polls until the condition holds.

    Args:
        condition: what is waited for.
        what: the same in words.
        needs: the components without which it cannot come true.
        owner: whose processes they are.
        logs: the components' logs.
        deadline_seconds: after which it is given up.

    Raises:
        ClusterError: a component ended, or the deadline passed; the message ends with its log.
    """
    deadline = time.monotonic() + deadline_seconds
    while not condition():
        if gone := _gone(needs, owner):
            raise ClusterError(f"{gone} ended before {what}; {_tail(logs, gone)}")
        if time.monotonic() > deadline:
            last = list(needs)[-1]
            raise ClusterError(f"after {deadline_seconds:.0f} s still not: {what}; {_tail(logs, last)}")
        time.sleep(_POLL_SECONDS)


def _gone(needs: Collection[str], owner: Owner) -> str | None:
    """A component that is needed and does not run."""
    missing = set(needs)
    for _ in range(_LOOKS):
        missing -= processes.components(processes.owned(owner)).keys()
        if not missing:
            return None
        # Look again: a process has no environment to be known by while it turns into another program, which takes a while
        # where that is read from a busy disk.
        time.sleep(_EXEC_SECONDS)
    return min(missing)


def _tail(logs: Path, component: str) -> str:
    log = logs / f"{component}.log"
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:] if log.exists() else []
    return "\n".join([f"the end of {log}:", *lines])
