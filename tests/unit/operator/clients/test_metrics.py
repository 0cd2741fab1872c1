"""What Prometheus reads of the operator."""

from prometheus_client import generate_latest

from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.common import Condition
from lora_api.v1alpha1.conditions import Reason
from lora_operator.clients.metrics import Metrics
from lora_operator.domain.observed import ModelKey, ObservedAdapter, ObservedModel, Snapshot
from support.builders import NAMESPACE, a_model, an_adapter


def seen(*adapters: ObservedAdapter, model: ObservedModel | None = None) -> Snapshot:
    return Snapshot(key=ModelKey(NAMESPACE, "smol"), model=model, adapters=adapters)


def saying(name: str, ready: str, reason: Reason) -> ObservedAdapter:
    """An adapter whose Ready says this since a thousand seconds after 1970."""
    said = [("Available", "True", Reason.SERVING), ("Ready", ready, reason)]
    conditions = tuple(
        Condition.model_validate(
            {"type": kind, "status": status, "reason": why, "message": "", "lastTransitionTime": "1970-01-01T00:16:40Z"}
        )
        for kind, status, why in said
    )
    return an_adapter(name, status=LoRAAdapterStatus(conditions=conditions))


def lines(metrics: Metrics, name: str) -> list[str]:
    """The exposition of one series."""
    return [line for line in generate_latest(metrics.registry).decode().splitlines() if line.startswith(name)]


def test_adapters_are_counted_and_those_that_are_not_ready_say_since_when() -> None:
    metrics = Metrics()
    serving = [saying(name, "True", Reason.SERVING) for name in ("pirate", "formal")]
    metrics.standings.saw(seen(*serving, saying("french", "False", Reason.LOAD_FAILED)))

    where = 'model="smol",namespace="team"'
    assert lines(metrics, "lora_operator_adapters{") == [
        f'lora_operator_adapters{{available="True",{where},ready="True",reason="Serving"}} 2.0',
        f'lora_operator_adapters{{available="True",{where},ready="False",reason="LoadFailed"}} 1.0',
    ]
    assert lines(metrics, "lora_operator_adapters_not_ready") == [
        f'lora_operator_adapters_not_ready_since_timestamp_seconds{{available="True",{where},reason="LoadFailed"}} 1000.0'
    ]


def test_a_model_has_one_series_and_none_once_it_is_gone_with_its_adapters() -> None:
    metrics = Metrics()
    metrics.standings.saw(seen(model=a_model()))
    metrics.standings.saw(seen(model=a_model()))
    assert len(lines(metrics, "lora_operator_model_info{")) == 1

    metrics.standings.saw(seen(an_adapter()))
    assert lines(metrics, "lora_operator_model_info{") == []
    assert len(lines(metrics, "lora_operator_adapters{")) == 1

    metrics.standings.saw(seen())
    assert lines(metrics, "lora_operator_adapters{") == []
    assert lines(metrics, "lora_operator_unreachable_pods{") == []


def test_an_api_server_that_does_not_answer_is_counted_as_such() -> None:
    metrics = Metrics()
    metrics.asked("PATCH", "Deployment", 200)
    metrics.asked("PATCH", "Deployment", 0)

    assert lines(metrics, "lora_operator_api_requests_total") == [
        'lora_operator_api_requests_total{code="200",kind="Deployment",method="PATCH"} 1.0',
        'lora_operator_api_requests_total{code="none",kind="Deployment",method="PATCH"} 1.0',
    ]
