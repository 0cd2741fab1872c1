"""What a mixture cannot be served with: refused at start, in words, rather than found out in answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm.config import VllmConfig


class Unsupported(ValueError):
    """This way of starting vLLM does not go with a mixture."""


class Unlike(ValueError):
    """Another mixture cannot take this one's place without a new start."""


def check(config: VllmConfig) -> None:
    """Makes sure of what vLLM does not check itself.

    Raises:
        Unsupported: names what must be left out.
    """
    hf_config, parallel = config.model_config.hf_config, config.parallel_config
    refused = {
        "--enable-lora: the experts are in the model, and adapters would change the base that they share": (
            config.lora_config is not None
        ),
        "a quantised base model: it has not been held against PEFT": config.quant_config is not None,
        "--speculative-config: drafts have no scalings": config.speculative_config is not None,
        "--kv-transfer-config: a token has two KV caches": config.kv_transfer_config is not None,
        "--pipeline-parallel-size: the second run begins where the first ends": parallel.pipeline_parallel_size > 1,
        "--data-parallel-size: an exchange reaches the workers of one engine": parallel.data_parallel_size > 1,
        "--decode-context-parallel-size nor --prefill-context-parallel-size: scalings are kept by a token's slot": (
            parallel.decode_context_parallel_size > 1 or parallel.prefill_context_parallel_size > 1
        ),
        "attention to later tokens (is_causal: false)": not getattr(hf_config, "is_causal", True),
        "dual chunk attention": getattr(hf_config, "dual_chunk_attention_config", None) is not None,
        "attention that differs by layer (layer_types)": len(set(getattr(hf_config, "layer_types", None) or ())) > 1,
    }
    if found := sorted(reason for reason, there in refused.items() if there):
        raise Unsupported(f"X-LoRA cannot be served with {'; nor with '.join(found)}")
