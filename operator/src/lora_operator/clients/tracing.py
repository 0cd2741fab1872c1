"""Traces of changed LoRAAdapters for an OpenTelemetry collector, when the standard variables name one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Self

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from lora_operator.domain.changes import Change

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SERVICE = "lora-operator"


class Traces:
    """One trace for each change that has arrived: its stages are the children of one span."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Takes where spans go; they go in batches, from a thread of its own."""
        self._provider = TracerProvider(resource=Resource.create({"service.name": _SERVICE}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(_SERVICE)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """Sends over OTLP/HTTP to the endpoint of OpenTelemetry's own variables; None when there is none."""
        return cls(OTLPSpanExporter()) if any(environment.get(name) for name in _ENDPOINTS) else None

    def arrived(self, change: Change) -> None:
        """A change is served by every pod."""
        stages = tuple(change.stages())
        attributes: dict[str, str | int] = {
            "k8s.namespace.name": change.key.namespace,
            "lora.model": change.key.name,
            "lora.adapter": change.name,
            "lora.adapter.uid": change.uid,
            "lora.adapter.generation": change.generation,
            "lora.revision": change.revision or "",
        }
        whole = self._tracer.start_span(
            "LoRAAdapter change", start_time=_nanoseconds(change.seen), attributes=attributes
        )
        parent = trace.set_span_in_context(whole)
        for stage, begin, end in stages:
            span = self._tracer.start_span(stage.value, context=parent, start_time=_nanoseconds(begin))
            span.end(_nanoseconds(end))
        whole.end(_nanoseconds(stages[-1][2] if stages else change.seen))

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6) * 1000
