"""Adapters as llama.cpp's convert_lora_to_gguf.py writes them: header, names, values. Nothing else knows the format."""
