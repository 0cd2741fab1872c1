"""vLLM as an Engine; nobody else knows its internals, and `requirements.py` refuses to start where they are others.

What must never happen is kept here: no `load_inplace`, no pinning, no engine name, id or path for other bytes,
`remove_lora` after every `add_lora` that failed, and nothing removed while a request may use it.
"""
