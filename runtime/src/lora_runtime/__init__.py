"""The runtime: lives inside vLLM's server process and makes it serve exactly the desired LoRA adapters."""
