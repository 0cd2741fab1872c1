"""Requests, tokens and times, by adapter."""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

from lora_runtime.metrics.labels import AdapterLabels
from lora_runtime.observer import Outcome

_FIRST_TOKEN_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_GAP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10)


@dataclass(frozen=True, slots=True)
class AdapterTraffic:
    """The series of one label value, found once for each generation."""

    outcomes: Mapping[Outcome, Counter]
    prompt_tokens: Counter
    generation_tokens: Counter
    first_token: Histogram
    gap: Histogram


class Traffic:
    """All that clients cause. Its series of an adapter begin with its first request."""

    def __init__(self, labels: AdapterLabels, registry: CollectorRegistry) -> None:
        """Takes the policy for label values, and where to register the series."""
        self._labels = labels
        self._requests = Counter(
            "lora_runtime_requests",
            "HTTP requests for a model that have ended, by adapter and how they ended.",
            ["adapter", "outcome"],
            registry=registry,
        )
        self._prompt_tokens = Counter(
            "lora_runtime_prompt_tokens", "Tokens of the prompts that were answered.", ["adapter"], registry=registry
        )
        self._generation_tokens = Counter(
            "lora_runtime_generation_tokens", "Tokens that were generated.", ["adapter"], registry=registry
        )
        self._first_token = Histogram(
            "lora_runtime_time_to_first_token_seconds",
            "From the arrival of the HTTP request to its first token; waiting for a cold adapter is in it.",
            ["adapter"],
            registry=registry,
            buckets=_FIRST_TOKEN_BUCKETS,
        )
        self._gap = Histogram(
            "lora_runtime_inter_token_latency_seconds",
            "Time between two pieces of a streamed answer, most of which are one token.",
            ["adapter"],
            registry=registry,
            buckets=_GAP_BUCKETS,
        )
        self._by_label: dict[str, AdapterTraffic] = {}

    def of(self, name: str) -> AdapterTraffic:
        """The series of a served name."""
        label = self._labels.of(name)
        found = self._by_label.get(label)
        if found is None:
            found = self._by_label[label] = AdapterTraffic(
                {outcome: self._requests.labels(label, outcome.value) for outcome in Outcome},
                self._prompt_tokens.labels(label),
                self._generation_tokens.labels(label),
                self._first_token.labels(label),
                self._gap.labels(label),
            )
        return found

    def ended(self, name: str, outcome: Outcome) -> None:
        """A request that asked for a name has ended."""
        self.of(name).outcomes[outcome].inc()

    def forget(self, name: str) -> None:
        """The adapter is gone, and no request uses it any more: so are its series."""
        self._labels.forget(name)
        if self._by_label.pop(name, None) is None:
            return
        for metric in (self._prompt_tokens, self._generation_tokens, self._first_token, self._gap):
            metric.remove(name)
        for outcome in Outcome:
            self._requests.remove(name, outcome.value)
