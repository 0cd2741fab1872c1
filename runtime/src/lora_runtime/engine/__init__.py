"""The engine behind a small protocol. `vllm.py` is the one file that knows vLLM's internals."""
