import pytest

from lora_runtime.http.guard import is_hidden


@pytest.mark.parametrize("path", [
    "/v1/load_lora_adapter", "/v1/unload_lora_adapter/", "/adapters", "/adapters/x", "//adapters", "/invocations",
    "/collective_rpc", "/sleep", "/scale_elastic_ep",
])  # fmt: skip
def test_what_changes_the_engine_or_answers_for_another_model_is_hidden(path: str) -> None:
    assert is_hidden(path)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/health", "/ready", "/metrics", "/adaptersx"])
def test_what_clients_and_kubelets_need_is_not(path: str) -> None:
    assert not is_hidden(path)
