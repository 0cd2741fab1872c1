"""What Prometheus can read about the operator."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from lora_operator.domain.changes import Change, Stage


class Metrics:
    """The operator's series, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.passes = Histogram(
            "lora_operator_pass_seconds",
            "Time of one look-decide-act pass over a LoRAModel, in seconds.",
            ["outcome"],
            registry=self.registry,
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        self.actions = Counter(
            "lora_operator_actions_total", "Actions taken, by kind.", ["action"], registry=self.registry
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
        self.unreachable_pods = Gauge(
            "lora_operator_unreachable_pods", "Pods whose admin port does not answer.", registry=self.registry
        )
        self.at_work = Gauge(
            "lora_operator_at_work", "1 for the operator that works, 0 for one that stands by.", registry=self.registry
        )
        self.oldest_wait = Gauge(
            "lora_operator_oldest_wait_seconds",
            "How long the longest waiting LoRAModel has been waiting for a pass, in seconds.",
            registry=self.registry,
        )

        for stage in Stage:
            self.change_stages.labels(stage.value)

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
