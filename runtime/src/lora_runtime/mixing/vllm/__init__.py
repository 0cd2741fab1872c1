"""vLLM that serves a mixture as its model, without its LoRA machinery."""
