"""What Prometheus can read about the operator."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server


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
        self.unreachable_pods = Gauge(
            "lora_operator_unreachable_pods", "Pods whose admin port does not answer.", registry=self.registry
        )
        self.oldest_wait = Gauge(
            "lora_operator_oldest_wait_seconds",
            "How long the longest waiting LoRAModel has been waiting for a pass, in seconds.",
            registry=self.registry,
        )

    def serve(self, port: int) -> None:
        """Answers /metrics on the port from a thread of its own; 0 does not."""
        if port:
            start_http_server(port, registry=self.registry)
