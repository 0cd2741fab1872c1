"""What Prometheus can read about the operator."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

from lora_operator.clients.standings import Standings
from lora_operator.domain.changes import Change, Stage

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class PassOutcome(StrEnum):
    """How a pass ended."""

    ACTED = "acted"
    IDLE = "idle"
    """There was nothing to do."""
    FAILED = "failed"
    """Part of it, or all; it is tried again."""


class PassStage(StrEnum):
    """What a pass does, in this order."""

    LOOK = "look"
    DECIDE = "decide"
    ACT = "act"


class ActionOutcome(StrEnum):
    """How an action ended."""

    OK = "ok"
    FAILED = "failed"


class Metrics:
    """The operator's series, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.passes = Histogram(
            "lora_operator_pass_seconds",
            "Time of one look-decide-act pass over a LoRAModel, in seconds.",
            ["outcome"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.stages = Histogram(
            "lora_operator_stage_seconds",
            "Time of one stage of a pass, in seconds.",
            ["stage"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.actions = Counter(
            "lora_operator_actions",
            "Actions taken, by kind and how they ended.",
            ["action", "outcome"],
            registry=self.registry,
        )
        self.change_stages = Histogram(
            "lora_operator_change_stage_seconds",
            "Time that a changed LoRAAdapter took for each stage on its way to every pod, in seconds.",
            ["stage"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
        )
        self.changes = Histogram(
            "lora_operator_change_seconds",
            "Time from a LoRAAdapter's event to the status that says that every pod serves it, in seconds.",
            registry=self.registry,
            buckets=(0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
        )
        self.api_requests = Counter(
            "lora_operator_api_requests",
            "Requests to the API server that were answered, or given up.",
            ["method", "kind", "code"],
            registry=self.registry,
        )
        self.waiting = Gauge(
            "lora_operator_waiting_models", "LoRAModels that wait for a free worker.", registry=self.registry
        )
        self.oldest_wait = Gauge(
            "lora_operator_oldest_wait_seconds",
            "How long the longest waiting LoRAModel has been waiting for the end of its pass, in seconds.",
            registry=self.registry,
        )
        self.leader = Gauge(
            "lora_operator_leader",
            "1 while this process is the one that acts, 0 while it waits.",
            registry=self.registry,
        )
        self.standings = Standings()
        self.registry.register(self.standings)
        for outcome in PassOutcome:
            self.passes.labels(outcome.value)
        for pass_stage in PassStage:
            self.stages.labels(pass_stage.value)
        for stage in Stage:
            self.change_stages.labels(stage.value)

    def asked(self, method: str, kind: str, status: int) -> None:
        """The API server has answered with this status, or not at all (0)."""
        self.api_requests.labels(method, kind, str(status) if status else "none").inc()

    def arrived(self, change: Change) -> None:
        """A change is served by every pod."""
        stages = tuple(change.stages())
        for stage, begin, end in stages:
            self.change_stages.labels(stage.value).observe((end - begin).total_seconds())
        self.changes.observe(sum((end - begin).total_seconds() for _, begin, end in stages))

    def serve(self, port: int) -> None:
        """Answers /metrics on the port from a thread of its own; 0 does not."""
        if port:
            start_http_server(port, registry=self.registry)
