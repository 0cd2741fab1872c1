"""What a mixture cannot be served with is refused when the engine starts, by the flag that asks for it."""

from types import SimpleNamespace
from typing import Any

import pytest

from lora_runtime.mixture.vllm.requirements import Unsupported, check


def a_config(**changed: Any) -> Any:
    """vLLM's, as far as it is looked at; `parallel` and `hf` are of its parts."""
    parallel = {
        "pipeline_parallel_size": 1, "data_parallel_size": 1,
        "decode_context_parallel_size": 1, "prefill_context_parallel_size": 1,
    } | changed.pop("parallel", {})  # fmt: skip
    plain = {"lora_config": None, "quant_config": None, "speculative_config": None, "kv_transfer_config": None}
    return SimpleNamespace(
        parallel_config=SimpleNamespace(**parallel),
        model_config=SimpleNamespace(hf_config=SimpleNamespace(**changed.pop("hf", {}))),
        **(plain | changed),
    )


def test_a_plain_engine_with_any_number_of_tensor_parallel_workers_is_taken() -> None:
    check(a_config(parallel={"tensor_parallel_size": 2}, hf={"layer_types": ["full_attention"] * 2}))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"lora_config": object()}, "--enable-lora"),
        ({"quant_config": object()}, "quantised"),
        ({"speculative_config": object()}, "--speculative-config"),
        ({"kv_transfer_config": object()}, "--kv-transfer-config"),
        ({"parallel": {"pipeline_parallel_size": 2}}, "--pipeline-parallel-size"),
        ({"parallel": {"data_parallel_size": 2}}, "--data-parallel-size"),
        ({"parallel": {"decode_context_parallel_size": 2}}, "--decode-context-parallel-size"),
        ({"parallel": {"prefill_context_parallel_size": 2}}, "--prefill-context-parallel-size"),
        ({"hf": {"is_causal": False}}, "is_causal"),
        ({"hf": {"dual_chunk_attention_config": {}}}, "dual chunk"),
        ({"hf": {"layer_types": ["full_attention", "sliding_attention"]}}, "layer_types"),
    ],
)
def test_what_has_not_been_held_against_peft_is_refused_by_name(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(Unsupported, match=named):
        check(a_config(**changed))
