"""Just enough of an API server for a page to be looked at: objects that can be listed, watched and patched, and a pod behind.

What an operator would write as status is given by the test; rules, rights and conflicts are a matter for the real one.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Json = dict[str, Any]
_GROUP = "/apis/lora-operator.io/v1alpha1/namespaces/team/"
_KINDS = {"loramodels": "LoRAModel", "loraadapters": "LoRAAdapter"}
_VERSION = "lora-operator.io/v1alpha1"


class SmallApiServer:
    """Its objects, and what it was asked."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.objects: dict[tuple[str, str], Json] = {}
        self.events: list[tuple[str, str, Json]] = []
        self.asked: list[Json] = []
        """Bodies of the questions to pods."""
        self.answer: tuple[str, ...] = ("Aye", ", ", "matey")
        self.pace_seconds = 0.0
        """Between the words of an answer."""
        self.given_up = threading.Event()
        """Set when somebody went in the middle of an answer."""
        self.before_answering: Callable[[], None] = lambda: None
        """Called when a patch is stored, and whoever sent it does not know that yet."""
        self.forbidden: frozenset[str] = frozenset()
        """Verbs that the user may not use."""

    def put(self, plural: str, stored: Mapping[str, Any], event: str = "MODIFIED") -> Json:
        """Stores an object, and tells whoever watches."""
        with self.changed:
            version = str(len(self.events) + 1)
            meta = {**stored["metadata"], "resourceVersion": version}
            kept = {**stored, "apiVersion": _VERSION, "kind": _KINDS[plural], "metadata": meta}
            if event == "DELETED":
                self.objects.pop((plural, meta["name"]), None)
            else:
                self.objects[plural, meta["name"]] = kept
            self.events.append((plural, event, kept))
            self.changed.notify_all()
            return kept

    def edit(self, plural: str, name: str, spec: Mapping[str, Any]) -> Json:
        """Changes fields of a spec, as a user does."""
        found = self.objects[plural, name]
        meta = {**found["metadata"], "generation": found["metadata"]["generation"] + 1}
        return self.put(plural, {**found, "metadata": meta, "spec": {**found["spec"], **spec}})


@contextmanager
def running(api: SmallApiServer, folder: Path) -> Iterator[Path]:
    """Runs it, and gives a kubeconfig for it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(api)) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }  # fmt: skip
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        try:
            yield kubeconfig
        finally:
            server.shutdown()
            thread.join()


def _handler(api: SmallApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            plural, _, name = url.path.removeprefix(_GROUP).partition("/")
            query = parse_qs(url.query)
            if name:
                with api.changed:
                    found = api.objects.get((plural, name))
                self._say(200, found) if found else self._say(404, {"kind": "Status", "message": f"no {name}"})
            elif "watch" in query:
                self._watch(plural, int(query["resourceVersion"][0]))
            else:
                with api.changed:
                    items = [stored for (kind, _), stored in api.objects.items() if kind == plural]
                    version = str(len(api.events))
                listed = {"kind": f"{_KINDS[plural]}List", "apiVersion": _VERSION, "items": items}
                self._say(200, listed | {"metadata": {"resourceVersion": version}})

        def do_POST(self) -> None:
            body = self._body()
            if self.path.endswith("/selfsubjectaccessreviews"):
                verb = body["spec"]["resourceAttributes"]["verb"]
                self._say(201, {"status": {"allowed": verb not in api.forbidden}})
            elif "/proxy/" in self.path:
                api.asked.append(body)
                self._answer()
            else:
                plural = urlsplit(self.path).path.removeprefix(_GROUP)
                name = body["metadata"]["name"]
                meta = {
                    "name": name, "namespace": "team", "uid": f"uid-{name}", "generation": 1,
                    "creationTimestamp": "2026-01-01T11:00:00Z",
                }  # fmt: skip
                self._say(201, api.put(plural, {**body, "metadata": meta, "status": {}}, "ADDED"))

        def do_PATCH(self) -> None:
            body = self._body()
            plural, _, name = urlsplit(self.path).path.removeprefix(_GROUP).partition("/")
            if isinstance(body, list):
                spec = {step["path"].removeprefix("/spec/"): step["value"] for step in body if step["op"] == "add"}
            else:
                spec = body["spec"]
            if (plural, name) in api.objects:
                edited = api.edit(plural, name, spec)
                api.before_answering()
                self._say(200, edited)
            else:
                self._say(404, {"kind": "Status", "message": f"no {name}"})

        def log_message(self, format: str, *args: Any) -> None:
            return

        def _body(self) -> Any:
            return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

        def _say(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        def _begin(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()

        def _watch(self, plural: str, told: int) -> None:
            self._begin()
            while True:
                with api.changed:
                    if not api.changed.wait_for(lambda: len(api.events) > told, 30):  # noqa: B023
                        return
                    news, told = api.events[told:], len(api.events)
                for kind, event, stored in news:
                    if kind == plural:
                        try:
                            self._chunk(json.dumps({"type": event, "object": stored}).encode() + b"\n")
                        except OSError:
                            return

        def _answer(self) -> None:
            self._begin()
            try:
                for word in api.answer:
                    delta = {"choices": [{"delta": {"content": word}}]}
                    self._chunk(f"data: {json.dumps(delta)}\n\n".encode())
                    time.sleep(api.pace_seconds)
                self._chunk(b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n')
                self._chunk(b"")
            except OSError:
                api.given_up.set()

    return Handler
