"""What Prometheus reads of the operator."""

from datetime import UTC, datetime

from prometheus_client import generate_latest

from lora_api.v1alpha1.conditions import Reason
from lora_operator.clients.metrics import Metrics
from lora_operator.domain.observed import ModelKey
from lora_operator.domain.tally import Group, Standing, Tally

SMOL = ModelKey("team", "smol")
SINCE = datetime.fromtimestamp(1000, UTC)
SERVING = Standing("True", "True", Reason.SERVING)
FAILED = Standing("False", "True", Reason.LOAD_FAILED)


def lines(metrics: Metrics, name: str) -> list[str]:
    """The exposition of one series."""
    return [line for line in generate_latest(metrics.registry).decode().splitlines() if line.startswith(name)]


def test_adapters_are_counted_and_those_that_are_not_ready_say_since_when() -> None:
    metrics = Metrics()
    metrics.standings.saw(SMOL, lambda: Tally(adapters={SERVING: Group(4, SINCE), FAILED: Group(1, SINCE)}))

    where = 'model="smol",namespace="team"'
    assert lines(metrics, "lora_operator_adapters{") == [
        f'lora_operator_adapters{{available="True",{where},ready="True",reason="Serving"}} 4.0',
        f'lora_operator_adapters{{available="True",{where},ready="False",reason="LoadFailed"}} 1.0',
    ]
    assert lines(metrics, "lora_operator_adapters_not_ready") == [
        f'lora_operator_adapters_not_ready_since_timestamp_seconds{{available="True",{where},reason="LoadFailed"}} 1000.0'
    ]


def test_a_model_has_one_series_at_a_time_and_none_once_it_is_gone() -> None:
    metrics = Metrics()
    metrics.standings.saw(SMOL, lambda: Tally(models={FAILED: Group(1, SINCE)}))
    metrics.standings.saw(SMOL, lambda: Tally(models={SERVING: Group(1, SINCE)}))
    assert len(lines(metrics, "lora_operator_model_info{")) == 1

    metrics.standings.forget(SMOL)
    assert lines(metrics, "lora_operator_model_info{") == []
    assert lines(metrics, "lora_operator_unreachable_pods{") == []


def test_an_api_server_that_does_not_answer_is_counted_as_such() -> None:
    metrics = Metrics()
    metrics.asked("PATCH", "Deployment", 200)
    metrics.asked("PATCH", "Deployment", 0)

    assert lines(metrics, "lora_operator_api_requests_total") == [
        'lora_operator_api_requests_total{code="200",kind="Deployment",method="PATCH"} 1.0',
        'lora_operator_api_requests_total{code="none",kind="Deployment",method="PATCH"} 1.0',
    ]
