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
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

Json = dict[str, Any]
_GROUP = "/apis/lora-operator.io/v1alpha1/namespaces/team/"
_PODS = "/api/v1/namespaces/team/pods"
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
        self.pods: dict[str, dict[str, list[Json]] | None] = {}
        """What each running pod tells of answers, by id; None of one that goes when it is asked."""
        self.keys_shown: list[str | None] = []
        """By whoever asked a pod by its name."""
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
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
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


def _pod(name: str) -> Json:
    ports = [{"name": "admin", "containerPort": 9000}, {"name": "http", "containerPort": 8000}]
    containers = [{"name": "sidecar"}, {"name": "engine", "ports": ports}]
    return {"metadata": {"name": name}, "spec": {"containers": containers}, "status": {"phase": "Running"}}


def _handler(api: SmallApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            plural, _, name = url.path.removeprefix(_GROUP).partition("/")
            query = parse_qs(url.query)
            if url.path.startswith(_PODS):
                self._say(*self._of_pods(url.path.removeprefix(_PODS)))
            elif name:
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
                if self.path.endswith("/detokenize"):
                    self._say(200, {"prompt": f" word{body['tokens'][0]}"})
                else:
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

        def _of_pods(self, path: str) -> tuple[int, Json]:
            if "pods" in api.forbidden:
                return 403, {"kind": "Status", "message": "you cannot list pods"}
            if not path:
                return 200, {"items": [_pod(name) for name in api.pods]}
            api.keys_shown.append(self.headers["X-Api-Key"])
            name, _, answer_id = path.removeprefix("/").partition(":8000/proxy/v1/xlora/scalings/")
            if (known := api.pods[name]) is None:
                return 404, {"kind": "Status", "message": f"pods {name} not found"}
            if (generations := known.get(unquote(answer_id))) is None:
                return 404, {"error": {"message": "This pod knows no such request any more.", "code": "NotFound"}}
            return 200, {"id": unquote(answer_id), "generations": generations}

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
                    delta = {"id": "chatcmpl-1", "choices": [{"delta": {"content": word}}]}
                    self._chunk(f"data: {json.dumps(delta)}\n\n".encode())
                    time.sleep(api.pace_seconds)
                self._chunk(b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n')
                self._chunk(b"")
            except OSError:
                api.given_up.set()

    return Handler
