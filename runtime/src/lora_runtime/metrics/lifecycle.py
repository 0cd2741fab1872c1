"""What happens to adapters inside the pod, and what the operator asks for."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.observer import Composed, Stage

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Lifecycle:
    """Durations and failures, without names: they are of the pod."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Takes where to register the series."""
        self._swaps = Histogram(
            "lora_runtime_swap_seconds",
            "Time that revisions took, by stage.",
            ["stage"],
            registry=registry,
            buckets=_SECONDS,
        )
        for stage in Stage:
            self._swaps.labels(stage.value)
        self._loads = Histogram(
            "lora_runtime_load_seconds",
            "Time of one load of an adapter into the engine, for a new revision or for a request.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._failures = Counter(
            "lora_runtime_failures", "Preparations of a revision that failed, by reason.", ["reason"], registry=registry
        )
        self._compositions = Counter(
            "lora_runtime_compositions",
            "Requests that compose adapters, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        for outcome in Composed:
            self._compositions.labels(outcome.value)
        self._kept = Gauge("lora_runtime_compositions_kept", "Compositions that are kept ready.", registry=registry)
        self._admin = Counter(
            "lora_runtime_admin_requests", "Requests on the admin port.", ["path", "code"], registry=registry
        )

    def took(self, stage: Stage, seconds: float) -> None:
        """See Observer.took."""
        self._swaps.labels(stage.value).observe(seconds)

    def failed(self, reason: Reason) -> None:
        """See Observer.failed."""
        self._failures.labels(reason.value).inc()

    def composed(self, outcome: Composed, kept: int) -> None:
        """See Observer.composed."""
        self._compositions.labels(outcome.value).inc()
        self._kept.set(kept)

    def loaded(self, seconds: float) -> None:
        """An adapter was loaded into the engine."""
        self._loads.observe(seconds)

    def asked(self, path: str, code: int) -> None:
        """A request on the admin port was answered; `path` is a route's, not the client's."""
        self._admin.labels(path, str(code)).inc()
