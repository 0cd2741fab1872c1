"""A collector of traces: what the operator sends over OTLP/HTTP."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_LATE_SECONDS = 15.0

Change = tuple[str, int]
"""UID and generation of a LoRAAdapter."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One change, as the operator saw it."""

    begun: float
    """When the event came, in seconds since 1970."""
    name: str
    revision: str
    """Which the change led to."""
    stages: Mapping[str, float]
    """Seconds."""


@dataclass
class Collector:
    """What has come so far."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)

    def traces(self) -> dict[Change, Trace]:
        """Every change whose span has come."""
        stages: dict[bytes, dict[str, float]] = {}
        for span in self.spans:
            seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
            if span.parent_span_id:
                stages.setdefault(span.trace_id, {})[span.name] = seconds
        found = {}
        for span in self.spans:
            if not span.parent_span_id:
                said = {a.key: a.value for a in span.attributes}
                change = (said["lora.adapter.uid"].string_value, said["lora.adapter.generation"].int_value)
                found[change] = Trace(
                    begun=span.start_time_unix_nano / 1e9,
                    name=said["lora.adapter"].string_value,
                    revision=said["lora.revision"].string_value,
                    stages=stages.get(span.trace_id, {}),
                )
        return found

    def wait_for(self, change: Change) -> None:
        """Returns when the change has come, or after a while."""
        deadline = time.monotonic() + _LATE_SECONDS
        while change not in self.traces() and time.monotonic() < deadline:
            time.sleep(0.2)


@contextmanager
def collecting(address: str) -> Iterator[Collector]:
    """Listens on the address while the block runs."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    collector.spans.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer((address, 0), Handler) as server:
        collector.url = f"http://{address}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
