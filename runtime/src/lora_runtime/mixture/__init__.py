"""X-LoRA (arXiv 2402.07148): several adapters at once, mixed by a learned classifier for each token and each layer.

`checkpoint` and `assembly` make one folder of a base model, experts and a classifier; the room `vllm/` serves it.
"""
