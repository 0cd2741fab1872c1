"""A pod whose model is a mixture: from what the document says of it to what answers, now and whenever that changes.

`places` and `making` make the folder of a mixture, `loop` brings the wanted one into the engine, and the room `vllm/` is that
engine. How a mixture is computed is in `lora_runtime.mixture`.
"""
